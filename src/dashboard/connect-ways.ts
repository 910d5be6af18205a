/** How the connector is started where OpenClaw runs: one way per kind of machine, only with flags and variables that it has. */
import { CONTAINER_IMAGE, composeService, dockerLine } from "../core/words/container-lines.ts";
import { TEXTS } from "./texts.ts";

export interface Step {
  readonly text: string;
  /** Something to run or to save; none for a remark. */
  readonly code?: string;
  /** Name of its copy button. */
  readonly copy?: string;
}

export interface Way {
  readonly id: "npx" | "docker" | "compose" | "kubernetes" | "windows";
  readonly label: string;
  readonly steps: readonly Step[];
}

/**
 * @param command as the API gives it: `npx -y <package> up <code>`
 * @returns the ways, the plain one first
 */
export function connectWays(command: string): readonly Way[] {
  const program = command.replace(/ up \S+$/, "");
  const ways = TEXTS.ways;
  const compose = `services:
${composeService({ words: `${program} run`, state: "gatehouse" })}
volumes:
  gatehouse:`;
  const sidecar = `- name: gatehouse
  image: ${CONTAINER_IMAGE}
  command: ["sh", "-c", "exec ${program} run"]
  env:
    - name: GATEHOUSE_STATE
      value: /state
    - name: OPENCLAW_GATEWAY_TOKEN
      valueFrom:
        secretKeyRef:
          name: openclaw
          key: token
  volumeMounts:
    - name: gatehouse
      mountPath: /state`;
  return [
    {
      id: "npx",
      label: ways.npx,
      steps: [
        { text: ways.npxRun, code: command, copy: ways.copyCommand },
        { text: ways.npxKeep, code: `sudo ${program} install --system`, copy: ways.copySecond },
        { text: ways.npxNote },
        { text: ways.version },
      ],
    },
    {
      id: "docker",
      label: ways.docker,
      steps: [
        {
          text: ways.dockerRun,
          code: dockerLine({ words: command, keep: false, state: "gatehouse" }),
          copy: ways.copyCommand,
        },
        {
          text: ways.dockerKeep,
          code: `docker rm gatehouse; ${dockerLine({ words: `${program} run`, keep: true, state: "gatehouse" })}`,
          copy: ways.copySecond,
        },
        { text: ways.dockerNote },
        { text: `${ways.version} ${ways.packaged}` },
      ],
    },
    {
      id: "compose",
      label: ways.compose,
      steps: [
        { text: ways.composeFile, code: compose, copy: ways.copyFile },
        { text: ways.composeRun, code: `docker compose run --rm gatehouse ${command}`, copy: ways.copyCommand },
        { text: ways.composeUp, code: "docker compose up -d gatehouse", copy: ways.copySecond },
      ],
    },
    {
      id: "kubernetes",
      label: ways.kubernetes,
      steps: [
        { text: ways.kubernetesSidecar, code: sidecar, copy: ways.copyFile },
        { text: ways.kubernetesExec, code: `kubectl exec -it deploy/openclaw -c gatehouse -- ${command}`, copy: ways.copyCommand },
        { text: ways.kubernetesEnd },
      ],
    },
    {
      id: "windows",
      label: ways.windows,
      steps: [{ text: ways.windowsWsl, code: command, copy: ways.copyCommand }],
    },
  ];
}
