/** Loaded into a child process (`--import`): a parent that was killed cannot end it, and what it holds would keep the next one out. */
const CHECK_MS = 500;
const parent = process.ppid;
const check = setInterval(() => {
  if (process.ppid === parent) return;
  clearInterval(check);
  process.kill(process.pid, "SIGTERM");
}, CHECK_MS);
check.unref();
