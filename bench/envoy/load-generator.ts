/** One run of the load generator (bench/envoy/load). */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { chatRequest, eventsPerStream, httpRequest } from "./chat.ts";
import { defaultRoute, type Load, models } from "./loads.ts";

const run = promisify(execFile);

/** The load generator writes each request's number in its place, so that no two requests of a run are the same. */
const numberMark = "<<request>>";

/** Longest run of one measurement before it counts as hung. */
const timeoutMs = 180_000;

export interface LoadResult {
  readonly requests: number;
  readonly failures: number;
  readonly firstFailure: string | null;
  readonly seconds: number;
  /** HTTP chunks per answer: in the event stream load, how many pieces Envoy handed on. */
  readonly framesPerAnswer: number;
  /** Time from writing a request to the last byte of its answer. */
  readonly p50Micros: number;
  readonly p99Micros: number;
}

/** The request files of all loads, in a folder of their own. */
export interface RequestFiles {
  readonly folder: string;
  /** One file per model, in the order of `models`. */
  of(load: Load): readonly string[];
  remove(): Promise<void>;
}

export async function writeRequests(loads: readonly Load[], modelFirst: boolean): Promise<RequestFiles> {
  const folder = await mkdtemp(join(tmpdir(), "tokenmesh-bench-"));
  const file = (load: Load, index: number): string => join(folder, `${load.name}-${index}.http`);
  for (const load of loads) {
    for (const [index, { model }] of models.entries()) {
      const { requestBytes: bytes, events: stream } = load;
      const body = chatRequest({ model, bytes, seed: index + 1, modelFirst, stream, ending: numberMark });
      await writeFile(file(load, index), httpRequest(body, stream));
    }
  }
  return {
    folder,
    of: (load) => models.map((_, index) => file(load, index)),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export interface LoadRun {
  readonly root: string;
  readonly address: string;
  readonly load: Load;
  readonly requests: number;
  /** Number of the first. */
  readonly from: number;
  readonly files: readonly string[];
  /** Whether each request must reach the upstream of its model, or all of them the default one. */
  readonly routed: boolean;
}

/** Runs it to its end; throws when a single request failed, because a run with failures measures something else. */
export async function generateLoad({
  root,
  address,
  load,
  requests,
  from,
  files,
  routed,
}: LoadRun): Promise<LoadResult> {
  const args = ["-address", address, "-requests", String(requests), "-connections", String(load.connections)];
  args.push("-events", String(load.events ? eventsPerStream : 0), "-number", numberMark, "-from", String(from));
  for (const [index, { route }] of models.entries()) {
    args.push("-request", `${files[index]}=${routed ? route : defaultRoute}`);
  }
  const { stdout } = await run(join(root, "build/bench/bin/load"), args, { timeout: timeoutMs });
  const result = JSON.parse(stdout) as LoadResult;
  if (result.failures > 0) {
    throw new Error(`${result.failures} of ${result.requests} requests failed; the first: ${result.firstFailure}`);
  }
  return result;
}
