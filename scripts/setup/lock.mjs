// Two set-ups at once (`npm start` in one terminal, `npm test` in another) would run `npm ci` into the same folder: the second one waits.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { toolsDir } from "./places.mjs";

const file = join(toolsDir, "setup.lock");

function holder() {
  let pid;
  try {
    pid = Number(readFileSync(file, "utf8"));
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    return error.code === "EPERM" ? pid : undefined; // no file, or the process that wrote it has ended
  }
}

export async function withLock(action) {
  mkdirSync(toolsDir, { recursive: true });
  let told = false;
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      const pid = holder();
      if (pid === undefined) rmSync(file, { force: true });
      else {
        if (!told) console.log(`setup: waiting for the set-up that runs as process ${pid}`);
        told = true;
        await delay(200);
      }
    }
  }
  const release = () => rmSync(file, { force: true });
  process.once("exit", release);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));
  return action();
}
