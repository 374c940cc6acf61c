/** The measurement: everything alive at the same time, every arm once per load and round, in an order that moves on by one from round to round. */
import { execFile } from "node:child_process";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { EnvoyProcess, waitFor } from "../../../envoy/harness/index.ts";
import type { RedisServer } from "../../../test/fixtures/redis-server.ts";
import { authorization, host } from "../chat.ts";
import { startCompanion } from "../companion.ts";
import { cpuTime, microsBetween } from "../cpu-time.ts";
import { rotated } from "../measure.ts";
import { type CachingArm, listenerName, type Surroundings } from "./arms.ts";
import type { Origin } from "./origin.ts";
import {
  answerHeader,
  answers,
  answersPath,
  type CachingFiles,
  type CachingLoad,
  type CannedAnswer,
  numberMark,
  question,
} from "./traffic.ts";

const run = promisify(execFile);
const timeoutMs = 60_000;

/** One arm under one load in one round. */
export interface CachingSample {
  readonly load: string;
  readonly arm: string;
  readonly round: number;
  /** CPU time in µs per request, by process. */
  readonly cpuMicros: Readonly<Record<string, number>>;
  /** From writing a request to the last byte of its answer. */
  readonly p50Micros: number;
  readonly p99Micros: number;
}

export interface RunningCache {
  readonly arm: CachingArm;
  readonly address: string;
  /** Whose CPU time counts, by name. */
  readonly pids: Readonly<Record<string, number>>;
  readonly envoy: EnvoyProcess | undefined;
  stop(): Promise<void>;
}

export async function startCache(arm: CachingArm, around: Surroundings, redis: RedisServer): Promise<RunningCache> {
  const args = ["-redis", `127.0.0.1:${redis.port}`];
  args.push(...(arm.helper === "processor" ? ["-ext-proc"] : ["-upstream", around.upstream]));
  const program = join(around.root, "build/bench/bin/redis_cache");
  const helper = arm.helper === undefined ? undefined : await startCompanion(program, args);
  try {
    const own = { ...around, helper: helper?.ready.address ?? "" };
    const envoy = arm.bootstrap && (await EnvoyProcess.start({ bootstrap: arm.bootstrap(own), logLevel: "warning" }));
    return {
      arm,
      address: envoy === undefined ? own.helper : await envoy.listenerAddress(listenerName),
      pids: {
        ...(envoy === undefined ? {} : { Envoy: envoy.pid }),
        ...(helper === undefined ? {} : { [arm.helper ?? ""]: helper.pid, Redis: redis.pid }),
      },
      envoy,
      stop: async () => {
        await envoy?.stop();
        await helper?.stop();
      },
    };
  } catch (error) {
    await helper?.stop();
    throw new Error(`arm ${arm.name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** Over a connection of its own. */
function ask({ arm, address }: RunningCache, answer: CannedAnswer, body: string): Promise<Got> {
  const isGet = arm.method === "GET";
  const headers = {
    ...{ [answerHeader]: answer.name, host, connection: "close" },
    ...(isGet ? {} : { authorization, "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
  };
  const url = `http://${address}${isGet ? `${answersPath}${answer.name}` : "/v1/chat/completions"}`;
  return new Promise((resolve, reject) => {
    const asked = httpRequest(url, { method: arm.method, headers, agent: false, timeout: timeoutMs }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(pieces).toString(),
        }),
      );
    });
    asked.on("timeout", () => asked.destroy(new Error("no answer")));
    asked.on("error", reject);
    asked.end(isGet ? undefined : body);
  });
}

/** Puts every answer in, and sees to it that an arm gives each byte of them again, and says so, without a call. `filled`: the store has them. */
export async function prove(running: RunningCache, origin: Origin, filled: boolean): Promise<void> {
  const { hit, name } = running.arm;
  const before = origin.calls();
  for (const [index, answer] of answers.entries()) {
    const body = question(answer, index + 1);
    const tries = hit === undefined ? 1 : 3;
    for (let attempt = filled ? 1 : 0; attempt < tries; attempt++) {
      const got = await ask(running, answer, body);
      const said = hit === undefined ? "" : String(got.headers[hit.name] ?? "");
      const stored = attempt > 0 || hit === undefined;
      if (got.status !== 200 || got.body !== answer.body || got.headers["content-type"] !== answer.contentType) {
        throw new Error(`arm ${name}: ${answer.name} is ${got.status} ${got.body.slice(0, 200)}`);
      }
      if (hit !== undefined && hit.value.test(said) !== stored) {
        throw new Error(`arm ${name}: ${answer.name}, request ${attempt}: ${hit.name} is ${JSON.stringify(said)}`);
      }
    }
  }
  const calls = origin.calls() - before;
  const wanted = hit === undefined || filled ? 0 : answers.length;
  if (calls !== wanted) throw new Error(`arm ${name}: ${calls} calls to fill it, not ${wanted}`);
}

const together = 100;
/** Time for a hundred requests to arrive. */
const holdMs = 1_500;

/** Calls of the upstream that a hundred equal requests for a stream cost which nobody has asked before, all of them sent before the first is answered. */
export async function callsOfHundred(running: RunningCache, origin: Origin): Promise<number> {
  const answer = answers.find(({ events }) => events > 0);
  if (answer === undefined) throw new Error("no answer is a stream");
  const before = origin.calls();
  origin.hold(true);
  try {
    const body = question(answer, 1_000);
    // By a GET it has been asked before, but for its query.
    const asked = Array.from({ length: together }, () =>
      ask(running, { ...answer, name: newName(running, answer) }, body),
    );
    const arrived = async (): Promise<boolean> => {
      const name = `http.${listenerName}.downstream_rq_active`;
      return (await running.envoy?.admin.stats(name))?.get(name) === together;
    };
    if (running.envoy === undefined) await new Promise((resolve) => setTimeout(resolve, holdMs));
    else await waitFor(arrived, { what: "a hundred requests at the cache" });
    origin.hold(false);
    for (const got of await Promise.all(asked)) {
      if (got.status !== 200 || got.body !== answer.body) {
        throw new Error(`arm ${running.arm.name}: one of a hundred got ${got.status}, ${got.body.length} bytes`);
      }
    }
  } finally {
    origin.hold(false);
  }
  return origin.calls() - before;
}

const newName = ({ arm }: RunningCache, { name }: CannedAnswer): string =>
  arm.method === "GET" ? `${name}?new` : name;

export interface CachingMeasurement {
  readonly root: string;
  readonly groups: readonly { readonly arms: readonly RunningCache[]; readonly loads: readonly CachingLoad[] }[];
  readonly rounds: number;
  readonly files: CachingFiles;
  /** Called at the end of each round. */
  onRound?(round: number): void;
}

/** Throws when a single request fails: such a run measures something else. */
export async function measureCaching(measurement: CachingMeasurement): Promise<CachingSample[]> {
  const { root, groups, rounds, files, onRound } = measurement;
  const samples: CachingSample[] = [];
  // Round 0 is outside the count: connections, compiled code and heaps are then as they stay.
  for (let round = 0; round <= rounds; round++) {
    for (const { arms, loads } of groups) {
      for (const load of loads) {
        for (const running of rotated(arms, round)) {
          const sample = await take(root, running, load, round, files);
          if (round > 0) samples.push(sample);
        }
      }
    }
    onRound?.(round);
  }
  return samples;
}

async function take(
  root: string,
  { arm, address, pids }: RunningCache,
  load: CachingLoad,
  round: number,
  { folder }: CachingFiles,
): Promise<CachingSample> {
  const file = join(folder, arm.method === "GET" ? `${load.file}.get` : load.file);
  const args = ["-address", address, "-requests", `${load.requests}`, "-connections", `${load.connections}`];
  args.push("-events", `${load.events}`, "-request", `${file}=*`);
  if (load.numbered) args.push("-number", numberMark, "-from", `${round * load.requests}`);
  const before = Object.entries(pids).map(([name, pid]) => ({ name, pid, used: cpuTime(pid) }));
  const { stdout } = await run(join(root, "build/bench/bin/load"), args, { timeout: timeoutMs });
  const cpu = before.map(({ name, pid, used }) => [name, microsBetween(used, cpuTime(pid)) / load.requests] as const);
  const result = JSON.parse(stdout) as {
    readonly failures: number;
    readonly firstFailure: string | null;
    readonly p50Micros: number;
    readonly p99Micros: number;
  };
  if (result.failures > 0) throw new Error(`arm ${arm.name}, load ${load.name}: ${result.firstFailure}`);
  const { p50Micros, p99Micros } = result;
  return { load: load.name, arm: arm.name, round, cpuMicros: Object.fromEntries(cpu), p50Micros, p99Micros };
}
