/**
 * CPU time that a process has used, user and system, from /proc. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 *
 * /proc/<pid>/stat counts in ticks of 10 ms, too coarse for the difference of two short runs. /proc/<pid>/task/<tid>/schedstat holds the same run
 * time in ns, but only of threads that are still alive. So both are read; the fine one is used as long as it agrees with the coarse one.
 */
import { readdirSync, readFileSync } from "node:fs";

/** Linux fixes the unit of /proc/<pid>/stat at 100 per second for user space (USER_HZ), whatever the kernel ticks at. */
const tickMicros = 10_000;

export interface CpuTime {
  /** user + system of the whole process in µs, exited threads included; a multiple of 10,000. */
  readonly coarseMicros: number;
  /** Run time of the threads alive now in µs; undefined when the kernel does not keep it. */
  readonly fineMicros: number | undefined;
}

/** user + system in µs from the text of /proc/<pid>/stat. The second field is the command in parentheses and may hold anything, even `) `. */
export function parseStat(text: string): number {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  if (!Number.isInteger(user) || !Number.isInteger(system)) throw new Error(`not a /proc/<pid>/stat line: ${text}`);
  return (user + system) * tickMicros;
}

/** Time on a CPU in µs from the text of /proc/<pid>/task/<tid>/schedstat: ns run, ns waited, time slices. */
export function parseSchedstat(text: string): number {
  const run = Number(text.split(" ")[0]);
  if (text.trim() === "" || !Number.isFinite(run)) throw new Error(`not a schedstat line: ${text}`);
  return run / 1_000;
}

export function cpuTime(pid: number): CpuTime {
  const coarseMicros = parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  let fineMicros: number | undefined = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      fineMicros += parseSchedstat(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8"));
    } catch {
      // The thread ended between the two reads, or the kernel has no such file; either way the sum is not the whole.
      fineMicros = undefined;
      break;
    }
  }
  return { coarseMicros, fineMicros };
}

/** µs used between two readings of one process: the fine figure if it lies within two ticks and 2 % of the coarse one, else the coarse one. */
export function microsBetween(before: CpuTime, after: CpuTime): number {
  const coarse = after.coarseMicros - before.coarseMicros;
  if (before.fineMicros === undefined || after.fineMicros === undefined) return coarse;
  const fine = after.fineMicros - before.fineMicros;
  return Math.abs(fine - coarse) <= 2 * tickMicros + 0.02 * coarse ? fine : coarse;
}
