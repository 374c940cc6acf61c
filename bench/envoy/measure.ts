/**
 * The measurement: one Envoy per arm, all alive at the same time, and rounds in which every arm gets the same requests, one arm after the other. The
 * order moves on by one each round, so that no arm always comes after the same neighbour, and the machine's drift hits all arms alike.
 */
import { EnvoyProcess } from "../../envoy/harness/index.ts";
import type { Arm, Surroundings } from "./arms/index.ts";
import { armBootstrap, loadListener } from "./bootstrap.ts";
import { type Companion, startCompanion } from "./companion.ts";
import { cpuTime, microsBetween } from "./cpu-time.ts";
import { generateLoad, type RequestFiles } from "./load-generator.ts";
import type { Load } from "./loads.ts";
import { type Proof, probe } from "./probe.ts";

/** One arm under one load in one round. */
export interface Sample {
  readonly load: string;
  readonly arm: string;
  readonly round: number;
  readonly requests: number;
  /** CPU time of Envoy and of the arm's helper in µs per request. */
  readonly envoyMicros: number;
  readonly helperMicros: number;
  readonly seconds: number;
  readonly framesPerAnswer: number;
}

/** CPU time per request of everything that belongs to the arm. */
export const totalMicros = ({ envoyMicros, helperMicros }: Sample): number => envoyMicros + helperMicros;

export interface RunningArm {
  readonly arm: Arm;
  readonly proof: Proof;
  readonly address: string;
  readonly envoyPid: number;
  readonly helperPid: number | undefined;
  stop(): Promise<void>;
}

export async function startArm(
  arm: Arm,
  root: string,
  upstreams: Readonly<Record<string, string>>,
): Promise<RunningArm> {
  let helper: Companion | undefined;
  let envoy: EnvoyProcess | undefined;
  try {
    const command = arm.helper?.({ root, helper: undefined });
    if (command !== undefined) helper = await startCompanion(command.command, command.args);
    const around: Surroundings = { root, helper: helper?.ready.address };
    envoy = await EnvoyProcess.start({ bootstrap: armBootstrap(arm, around, upstreams), logLevel: "warning" });
    const running = envoy;
    const companion = helper;
    return {
      arm,
      proof: await probe(arm, running),
      address: await running.listenerAddress(loadListener),
      envoyPid: running.pid,
      helperPid: companion?.pid,
      stop: async () => {
        await running.stop();
        await companion?.stop();
      },
    };
  } catch (error) {
    await envoy?.stop().catch(() => {});
    await helper?.stop();
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
    const { arm, address, envoyPid, helperPid } = running;
    const before = [cpuTime(envoyPid), helperPid === undefined ? undefined : cpuTime(helperPid)] as const;
    const result = await generateLoad({
      root,
      address,
      load,
      requests,
      files: files.of(load),
      routed: arm.routes,
    }).catch((cause: unknown) => {
      throw new Error(`arm ${arm.name}, load ${load.name}, round ${round}: ${String(cause)}`, { cause });
    });
    const helperMicros =
      before[1] === undefined || helperPid === undefined ? 0 : microsBetween(before[1], cpuTime(helperPid));
    return {
      load: load.name,
      arm: arm.name,
      round,
      requests,
      envoyMicros: microsBetween(before[0], cpuTime(envoyPid)) / requests,
      helperMicros: helperMicros / requests,
      seconds: result.seconds,
      framesPerAnswer: result.framesPerAnswer,
    };
  };
  const samples: Sample[] = [];
  for (const load of loads) {
    // Once outside the count: connections, compiled code and heaps are then as they stay.
    for (const running of arms) await take(running, load, 0, Math.ceil(load.requests / 10));
  }
  for (let round = 1; round <= rounds; round++) {
    for (const load of loads) {
      for (const running of rotated(arms, round)) {
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
