/** The measurement: all Envoys alive at the same time, every arm once per load and round, in an order that moves on by one from round to round. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { EnvoyProcess } from "../../../envoy/harness/index.ts";
import { startCompanion } from "../companion.ts";
import { type CpuTime, cpuTime, microsBetween } from "../cpu-time.ts";
import { rotated } from "../measure.ts";
import { listenerName, type PickingArm, pickingBootstrap } from "./arms.ts";
import { eventsPerAnswer, numberMark, type PickingFiles, type PickingLoad, prompt } from "./prompts.ts";

const run = promisify(execFile);
const timeoutMs = 60_000;

/** One arm under one load in one round. */
export interface PickingSample {
  readonly load: string;
  readonly arm: string;
  readonly round: number;
  /** CPU time in µs per request; 0 without a helper. */
  readonly envoyMicros: number;
  readonly helperMicros: number;
  /** From writing each request to the first byte of its answer's body. */
  readonly firstMicros: readonly number[];
}

export interface RunningPicker {
  readonly arm: PickingArm;
  readonly address: string;
  readonly envoyPid: number;
  readonly helperPid: number | undefined;
  stop(): Promise<void>;
}

export async function startPicker(arm: PickingArm, root: string, endpoints: readonly string[]): Promise<RunningPicker> {
  const helper = arm.helper
    ? await startCompanion(join(root, "build/bench/bin/ext_proc"), ["-endpoints", endpoints.join(",")])
    : undefined;
  try {
    const bootstrap = pickingBootstrap(arm, { root, endpoints, helper: helper?.ready.address ?? "" });
    const envoy = await EnvoyProcess.start({ bootstrap, logLevel: "warning" });
    const stop = async (): Promise<void> => {
      await envoy.stop();
      await helper?.stop();
    };
    try {
      const address = await envoy.listenerAddress(listenerName);
      await prove(arm, address);
      return { arm, address, envoyPid: envoy.pid, helperPid: helper?.pid, stop };
    } catch (error) {
      await stop();
      throw error;
    }
  } catch (error) {
    await helper?.stop();
    throw new Error(`arm ${arm.name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** What an arm must do before it is timed: all turns of a conversation at one endpoint, and not all conversations at the same one. */
async function prove({ picks }: PickingArm, address: string): Promise<void> {
  const all = new Set<string>();
  for (let conversation = 100; conversation < 112; conversation++) {
    const own = new Set<string>();
    for (const turn of ["first turn!", "second turn", "third turn!"]) {
      const body = prompt(conversation % 2 === 0 ? 4_096 : 225_280, conversation).replace(numberMark, turn);
      const headers = { "content-type": "application/json", "x-bench-answer": "sse" };
      const answer = await fetch(`http://${address}/v1/chat/completions`, { method: "POST", headers, body });
      await answer.text();
      if (answer.status !== 200) throw new Error(`answer ${answer.status}`);
      own.add(answer.headers.get("x-upstream") ?? "none");
    }
    if (picks !== (own.size === 1)) throw new Error(`a conversation went to ${[...own].join(", ")}`);
    for (const name of own) all.add(name);
  }
  if (all.size < 2) throw new Error(`all conversations went to ${[...all].join()}`);
}

export interface PickingMeasurement {
  readonly root: string;
  readonly pickers: readonly RunningPicker[];
  readonly loads: readonly PickingLoad[];
  readonly rounds: number;
  readonly files: PickingFiles;
  /** Called at the end of each round. */
  onRound?(round: number): void;
}

/** Throws when a single request fails: such a run measures something else. */
export async function measurePicking(measurement: PickingMeasurement): Promise<PickingSample[]> {
  const { root, pickers, loads, rounds, files, onRound } = measurement;
  const take = async (picker: RunningPicker, load: PickingLoad, round: number): Promise<PickingSample> => {
    const { arm, address, envoyPid, helperPid } = picker;
    const args = ["-address", address, "-requests", `${load.requests}`, "-connections", `${load.connections}`];
    args.push("-events", `${eventsPerAnswer}`, "-first", "-number", numberMark, "-from", `${round * load.requests}`);
    args.push("-rate", `${load.rate}`);
    for (const file of files.of(load)) args.push("-request", `${file}=*`);
    const helperTime = (): CpuTime | undefined => (helperPid === undefined ? undefined : cpuTime(helperPid));
    const [before, helperBefore] = [cpuTime(envoyPid), helperTime()];
    const { stdout } = await run(join(root, "build/bench/bin/load"), args, {
      timeout: timeoutMs,
      maxBuffer: 64 * 1024 * 1024,
    });
    const [after, helperAfter] = [cpuTime(envoyPid), helperTime()];
    const result = JSON.parse(stdout) as { failures: number; firstFailure: string | null; firstMicros: number[] };
    if (result.failures > 0) throw new Error(`arm ${arm.name}, load ${load.name}: ${result.firstFailure}`);
    const helped = helperBefore && helperAfter ? microsBetween(helperBefore, helperAfter) : 0;
    return {
      load: load.name,
      arm: arm.name,
      round,
      envoyMicros: microsBetween(before, after) / load.requests,
      helperMicros: helped / load.requests,
      firstMicros: result.firstMicros,
    };
  };
  const samples: PickingSample[] = [];
  // Round 0 is outside the count: connections, compiled code and heaps are then as they stay.
  for (let round = 0; round <= rounds; round++) {
    for (const load of loads) {
      for (const picker of rotated(pickers, round)) {
        const sample = await take(picker, load, round);
        if (round > 0) samples.push(sample);
      }
    }
    onRound?.(round);
  }
  return samples;
}
