/**
 * The measurement: one Envoy per arm, all alive at the same time, and rounds in which every arm gets the same requests, one arm after the other. The
 * order moves on by one each round, so that no arm always comes after the same neighbour, and the machine's drift hits all arms alike.
 */
import { EnvoyProcess } from "../../envoy/harness/index.ts";
import type { Arm, Surroundings } from "./arms/index.ts";
import { armBootstrap, loadListener } from "./bootstrap.ts";
import { cpuTime, microsBetween } from "./cpu-time.ts";
import type { Addresses, RunningHelper } from "./helpers.ts";
import { generateLoad, type RequestFiles } from "./load-generator.ts";
import { type Load, meet } from "./loads.ts";
import { type Proof, probe } from "./probe.ts";

/** One arm under one load in one round. */
export interface Sample {
  readonly load: string;
  readonly arm: string;
  readonly round: number;
  readonly requests: number;
  /** CPU time of Envoy and of each helper of the arm in µs per request. */
  readonly envoyMicros: number;
  readonly helperMicros: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly framesPerAnswer: number;
  /** Time from writing a request to the last byte of its answer. */
  readonly p50Micros: number;
  readonly p99Micros: number;
}

/** CPU time per request of all helpers of the arm. */
export const helpersMicros = ({ helperMicros }: Pick<Sample, "helperMicros">): number =>
  Object.values(helperMicros).reduce((sum, each) => sum + each, 0);

/** CPU time per request of everything that belongs to the arm. */
export const totalMicros = (sample: Sample): number => sample.envoyMicros + helpersMicros(sample);

export interface RunningArm {
  readonly arm: Arm;
  readonly proof: Proof;
  readonly address: string;
  readonly envoyPid: number;
  /** By name. */
  readonly helperPids: Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

export async function startArm(
  arm: Arm,
  root: string,
  upstreams: Readonly<Record<string, string>>,
): Promise<RunningArm> {
  const helpers: RunningHelper[] = [];
  const helperPids: Record<string, number> = {};
  const stopHelpers = async (): Promise<void> => {
    for (const helper of helpers.reverse()) await helper.stop();
  };
  let envoy: EnvoyProcess | undefined;
  try {
    let addresses: Addresses = {};
    for (const { name, start } of arm.helpers ?? []) {
      const helper = await start(root, addresses);
      helpers.push(helper);
      helperPids[name] = helper.pid;
      addresses = { ...addresses, ...helper.addresses };
    }
    const around: Surroundings = { root, addresses, upstreams };
    envoy = await EnvoyProcess.start({ bootstrap: armBootstrap(arm, around), logLevel: "warning" });
    const running = envoy;
    return {
      arm,
      proof: await probe(arm, running, around),
      address: await running.listenerAddress(loadListener),
      envoyPid: running.pid,
      helperPids,
      stop: async () => {
        await running.stop();
        await stopHelpers();
      },
    };
  } catch (error) {
    await envoy?.stop().catch(() => {});
    await stopHelpers();
    throw new Error(`arm ${arm.name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

export interface Measurement {
  readonly root: string;
  readonly arms: readonly RunningArm[];
  readonly loads: readonly Load[];
  readonly rounds: number;
  readonly files: RequestFiles;
  /** Called after each sample. */
  onSample?(sample: Sample): void;
}

export async function measure({ root, arms, loads, rounds, files, onSample }: Measurement): Promise<Sample[]> {
  const take = async (running: RunningArm, load: Load, round: number, requests: number): Promise<Sample> => {
    const { arm, address, envoyPid, helperPids } = running;
    const before = cpuTime(envoyPid);
    const helpersBefore = Object.entries(helperPids).map(([name, pid]) => ({ name, pid, used: cpuTime(pid) }));
    const from = asked;
    asked += requests;
    const result = await generateLoad({
      root,
      address,
      load,
      requests,
      from,
      files: files.of(load),
      routed: arm.routes,
    }).catch((cause: unknown) => {
      throw new Error(`arm ${arm.name}, load ${load.name}, round ${round}: ${String(cause)}`, { cause });
    });
    const helperMicros = helpersBefore.map(({ name, pid, used }) => [
      name,
      microsBetween(used, cpuTime(pid)) / requests,
    ]);
    return {
      load: load.name,
      arm: arm.name,
      round,
      requests,
      envoyMicros: microsBetween(before, cpuTime(envoyPid)) / requests,
      helperMicros: Object.fromEntries(helperMicros) as Record<string, number>,
      seconds: result.seconds,
      framesPerAnswer: result.framesPerAnswer,
      p50Micros: result.p50Micros,
      p99Micros: result.p99Micros,
    };
  };
  const measuredUnder = (load: Load): readonly RunningArm[] => arms.filter(({ arm }) => meet(arm, load));
  const samples: Sample[] = [];
  let asked = 0;
  for (const load of loads) {
    // Once outside the count: connections, compiled code and heaps are then as they stay.
    for (const running of measuredUnder(load)) await take(running, load, 0, Math.ceil(load.requests / 10));
  }
  for (let round = 1; round <= rounds; round++) {
    for (const load of loads) {
      for (const running of rotated(measuredUnder(load), round)) {
        const sample = await take(running, load, round, load.requests);
        samples.push(sample);
        onSample?.(sample);
      }
    }
  }
  return samples;
}

/** The same elements, beginning `by` places further on. */
export function rotated<T>(elements: readonly T[], by: number): T[] {
  const start = elements.length === 0 ? 0 : by % elements.length;
  return [...elements.slice(start), ...elements.slice(0, start)];
}
