/** The text of `gatehouse --help`. */
export const HELP = `gatehouse: reach this machine's OpenClaw gateway from anywhere, behind NAT

Usage: gatehouse <command> [options]

  up [code]        enrol this machine if needed, then keep the connection (Ctrl-C ends it)
                   without a code it prints a claim link
  run              keep the connection of a machine that is enrolled
  status           how the running connector stands
  doctor           check gateway, secret and settings, with a cure for what is wrong
  devices          devices that this machine admits
  cut <device>     end a device's access here and now, without any network (also: revoke; revoke --all)

  owners           passkeys that may decide for this gateway, and the recovery key
                   owners add <passkey> (from your account page), owners remove <passkey> | recovery-key
                   owners role <passkey> owner | approver --max-access … --max-days …
  policy           what remote approval may give at most: --max-access, --max-days, --confirm
  confirm [device] the word that the policy asks for; without a device: what waits for it
  lock             the key log: show, verify [file], resume (after an alarm)
  audit            head of the audit chain that is anchored here; audit verify <file> checks an export
  reset            forget gateway, owners and devices; it has to be claimed again

  install          print how to start the connector with the machine
  uninstall        put OpenClaw's settings back and remove this machine's state

  --state <dir>    state folder (GATEHOUSE_STATE, else ~/.gatehouse)
  --app <origin>   control plane (else the one this program came from)
  --check-words "<words>"   confirm an enrolment without a terminal: the words must match
  --max-access full|chat|look, --max-days <days>, --confirm never|first|full   for policy and approvers
  --head <seq>:<hash>   for audit verify: the entry that the export must hold
  --all            for revoke: every device
  --yes            apply the settings that OpenClaw needs without asking
  --json           one JSON object per line
  --help, --version

Environment: OPENCLAW_URL (ws://127.0.0.1:18789), OPENCLAW_GATEWAY_TOKEN or OPENCLAW_GATEWAY_PASSWORD (else OpenClaw's own config)

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 waits for --check-words, 4 refused by the control plane, 5 gateway not safe to serve,
            6 another connector took over`;
