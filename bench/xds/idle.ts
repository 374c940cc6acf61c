/**
 * What one more stream takes of the server's memory when it has everything and nothing happens: the slope over the number of streams, by least squares. Each stream is one of an Envoy
 * with a connection of its own that holds all clusters, the endpoints of each by name, the listener and its route.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import type { Arm, RunningServer } from "./arms.ts";
import type { Mode } from "./report.ts";

const STREAMS = [800, 1_200, 1_600, 2_000, 2_400];
/** Before the first sample: with so many changes to so many streams a server grows what it has once, and the next streams take what that left free. */
const WARM_UP_STREAMS = 400;
const WARM_UP_CHANGES = 100;
const WARM_UP_MS = 20;
const SIZE = { clusters: 100, endpoints: 50 };

/** All in bytes. */
interface Sample {
  readonly streams: number;
  /** As the server leaves it. */
  readonly rss: number;
  /** After it was asked to collect its garbage; undefined when it cannot be. */
  readonly collected?: { readonly rss: number; readonly heapUsed: number };
}

/** `envoy`: 40 KB, as an Envoy says of itself in its first request; `short`: its id and cluster. */
const NODES = ["short", "envoy"] as const;
type Node = (typeof NODES)[number];

/** Prints one JSON object for each run, sizes in KB per stream. */
export async function idleStreams(
  root: string,
  arms: readonly Arm[],
  modes: readonly Mode[],
  rounds: number,
): Promise<void> {
  for (let round = 1; round <= rounds; round++) {
    for (const [mode, node] of modes.flatMap((each) => NODES.map((node) => [each, node] as const))) {
      for (const arm of arms) {
        const samples = await measure(root, arm, mode, node);
        const perStream = (figure: (sample: Sample) => number | undefined) => slope(samples, figure);
        const result = {
          rssAsIs: perStream(({ rss }) => rss),
          rss: perStream(({ collected }) => collected?.rss),
          heapUsed: perStream(({ collected }) => collected?.heapUsed),
        };
        console.log(
          JSON.stringify({ bench: "xds idle", arm: arm.name, mode, node, round, kbPerStream: result, samples }),
        );
      }
    }
  }
}

async function measure(root: string, arm: Arm, mode: Mode, node: Node): Promise<readonly Sample[]> {
  const server = await arm.start(root, SIZE);
  const args = [...server.flags, "-idle", "-mode", mode, "-clusters", String(SIZE.clusters)];
  if (node === "envoy") args.push("-verbose-node");
  const load = spawn(join(root, "build/bench/bin/xds-load"), args, { stdio: ["pipe", "pipe", "inherit"] });
  try {
    const samples: Sample[] = [];
    const answers = createInterface(load.stdout)[Symbol.asyncIterator]();
    for (const streams of [WARM_UP_STREAMS, ...STREAMS]) {
      load.stdin.write(`${streams}\n`);
      const { done } = await answers.next();
      if (done) throw new Error("the load ended before its streams had everything");
      if (streams === WARM_UP_STREAMS) await warmUp(server);
      const sampled = await sample(server, streams);
      if (streams !== WARM_UP_STREAMS) samples.push(sampled);
    }
    return samples;
  } finally {
    await ended(load);
    await server.stop();
  }
}

async function warmUp({ change }: RunningServer): Promise<void> {
  if (change === undefined) return;
  for (let n = 0; n < WARM_UP_CHANGES; n++) {
    await (await fetch(`${change}?k=10`, { method: "POST" })).arrayBuffer();
    await wait(WARM_UP_MS);
  }
}

async function sample({ pid, collect }: RunningServer, streams: number): Promise<Sample> {
  const rss = await quiet(pid);
  if (collect === undefined) return { streams, rss };
  // What a first collection finds to be done, such as the sweeping of what it left, a second one finishes.
  await (await fetch(collect, { method: "POST" })).json();
  const { heapUsed } = (await (await fetch(collect, { method: "POST" })).json()) as { heapUsed: number };
  return { streams, rss, collected: { rss: await quiet(pid), heapUsed } };
}

/** The resident memory when it has not changed for a second: the last acknowledgements are in, and what the collection gave back is gone. */
async function quiet(pid: number): Promise<number> {
  let rss = residentBytes(pid);
  for (let same = 0; same < 4; ) {
    await wait(250);
    const now = residentBytes(pid);
    same = Math.abs(now - rss) < 64 * 1024 ? same + 1 : 0;
    rss = now;
  }
  return rss;
}

function residentBytes(pid: number): number {
  const [, kilobytes = "0"] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1_024;
}

/** KB more for one stream more, by least squares. */
function slope(samples: readonly Sample[], figure: (sample: Sample) => number | undefined): number | undefined {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const points = samples.map((each) => [each.streams, figure(each)] as const);
  const x = mean(points.map(([streams]) => streams));
  const y = mean(points.map(([, bytes]) => bytes ?? Number.NaN));
  let above = 0;
  let below = 0;
  for (const [streams, bytes = Number.NaN] of points) {
    above += (streams - x) * (bytes - y);
    below += (streams - x) ** 2;
  }
  const kilobytes = above / below / 1_024;
  return Number.isNaN(kilobytes) ? undefined : Number(kilobytes.toFixed(2));
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.stdin?.end();
  await exit;
}
