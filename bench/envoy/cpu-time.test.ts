import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import { cpuTime, microsBetween, parseSchedstat, parseStat } from "./cpu-time.ts";

/** Fields 4 to 13 of a stat line, then utime and stime. */
const line = (command: string, user: number, system: number): string =>
  `4711 (${command}) S 1 4711 4711 0 -1 4194560 5000 0 12 0 ${user} ${system} 77 88 20 0 13 0 1000 3296124928 17000`;

describe("/proc readers", () => {
  it("adds user and system ticks and leaves out those of children", () => {
    expect(parseStat(line("envoy", 150, 50))).toBe(2_000_000);
  });

  it("is not misled by the command's name", () => {
    expect(parseStat(line("a) S 1 2 (b) 99", 3, 4))).toBe(70_000);
  });

  it("reads nanoseconds from schedstat", () => {
    expect(parseSchedstat("1388142 220921 2\n")).toBeCloseTo(1_388.142);
  });

  it.each(["", "4711 (envoy) S 1"])("refuses %j as a stat line", (text) => {
    expect(() => parseStat(text)).toThrow("not a /proc/<pid>/stat line");
  });

  it("refuses an empty schedstat", () => {
    expect(() => parseSchedstat("\n")).toThrow("not a schedstat line");
  });
});

describe("the time between two readings", () => {
  const at = (coarseMicros: number, fineMicros?: number) => ({ coarseMicros, fineMicros });

  it("prefers the fine figure", () => {
    expect(microsBetween(at(0, 4_000), at(20_000, 21_500))).toBe(17_500);
  });

  it("takes the coarse one when a thread ended and took its time along", () => {
    expect(microsBetween(at(0, 500_000), at(600_000, 200_000))).toBe(600_000);
  });

  it("takes the coarse one without a fine one", () => {
    expect(microsBetween(at(10_000), at(40_000, 1))).toBe(30_000);
  });

  it.runIf(process.platform === "linux")("sees a process work, and only that one", async () => {
    const busy = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
    const idle = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    try {
      const [busyPid = 0, idlePid = 0] = [busy.pid, idle.pid];
      const used = async (pid: number, micros: number): Promise<boolean> =>
        cpuTime(pid).coarseMicros >= micros || cpuTime(pid).fineMicros === undefined;
      await waitFor(() => used(busyPid, 300_000), { what: "the busy process to use 300 ms" });
      const before = cpuTime(idlePid);
      const busyBefore = cpuTime(busyPid);
      await waitFor(() => microsBetween(busyBefore, cpuTime(busyPid)) > 200_000, { what: "the busy process to go on" });
      expect(microsBetween(before, cpuTime(idlePid))).toBeLessThan(100_000);
    } finally {
      busy.kill("SIGKILL");
      idle.kill("SIGKILL");
    }
  });
});
