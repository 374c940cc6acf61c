/**
 * The measurement: one Envoy, one listener and one VM per job, and rounds in which every job gets the same body, one after the other. The order moves on by one
 * each round, so that the machine's drift hits all jobs alike.
 */
import { Agent, request } from "node:http";
import { cluster, EnvoyProcess, httpListener, staticBootstrap, wasmFilter } from "../../envoy/harness/index.ts";
import type { BodyKind } from "./bodies.ts";
import { type Job, jobs, type Sample } from "./report.ts";

export interface Measurement {
  /** Path of the bench's filter. */
  readonly module: string;
  readonly kinds: readonly BodyKind[];
  readonly sizes: readonly number[];
  readonly rounds: number;
  /** Called before each body. */
  onBody?(kind: string, bytes: number): void;
}

const bufferLimitBytes = 16 * 1024 * 1024;
const timeoutMs = 30_000;

/** Samples per request, and bytes that a sample goes through at least, so that the clock's own time does not count. */
const samplesPerRequest = 5;
const bytesPerSample = 256 * 1024;

export async function measure({ module, kinds, sizes, rounds, onBody }: Measurement): Promise<Sample[]> {
  const envoy = await EnvoyProcess.start({ bootstrap: bootstrap(module), logLevel: "warning" });
  const agent = new Agent({ keepAlive: true });
  try {
    const addresses = new Map<Job, string>();
    for (const job of jobs) addresses.set(job, await envoy.listenerAddress(job));
    const firstPages = new Map<Job, number>();
    const samples: Sample[] = [];
    // Sizes rise, so that the memory a job holds is that of the bodies so far.
    for (const bytes of [...sizes].sort((a, b) => a - b)) {
      for (const kind of kinds) {
        onBody?.(kind.name, bytes);
        const text = kind.make(bytes);
        const batch = Math.max(1, Math.floor(bytesPerSample / bytes));
        // Round 0 is not counted: compiled code and memory are then as they stay.
        for (let round = 0; round <= rounds; round++) {
          for (let turn = 0; turn < jobs.length; turn++) {
            const job = jobs[(round + turn) % jobs.length] ?? "scan";
            const answer = await ask(agent, addresses.get(job) ?? "", text, batch);
            verify(job, text, answer.check);
            const [before, after] = answer.pages;
            if (!firstPages.has(job)) firstPages.set(job, before);
            const grownPages = after - (firstPages.get(job) ?? before);
            if (round > 0) samples.push({ kind: kind.name, bytes, job, round, batch, nanos: answer.nanos, grownPages });
          }
        }
      }
    }
    return samples;
  } finally {
    agent.destroy();
    await envoy.stop();
  }
}

function bootstrap(module: string) {
  return staticBootstrap({
    listeners: jobs.map((job) =>
      httpListener({
        name: job,
        bufferLimitBytes,
        codec: "HTTP1",
        httpFilters: [wasmFilter({ name: job, rootId: "scanner-bench", file: module, vmId: job, configuration: job })],
        // The filter answers every request itself.
        routes: [{ cluster: "none" }],
      }),
    ),
    clusters: [cluster({ name: "none", targets: [9] })],
  });
}

interface Answer {
  readonly nanos: readonly number[];
  readonly pages: readonly [before: number, after: number];
  readonly check: number;
}

/** A job that did not do its work is no measurement. */
function verify(job: Job, text: string, check: number): void {
  const want = {
    fetch: Buffer.byteLength(text),
    scan: (JSON.parse(text) as { model: string }).model.length,
    decode: text.length,
  }[job];
  if (check !== want) throw new Error(`${job} of ${text.length} characters says ${check} instead of ${want}`);
}

function ask(agent: Agent, address: string, text: string, batch: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { "x-bench-samples": samplesPerRequest, "x-bench-batch": batch };
    const options = { method: "POST", agent, headers, timeout: timeoutMs };
    const outgoing = request(`http://${address}/`, options, (answer) => {
      const pieces: Buffer[] = [];
      answer.on("data", (piece: Buffer) => pieces.push(piece));
      answer.on("error", reject);
      answer.on("end", () => {
        const said = Buffer.concat(pieces).toString();
        if (answer.statusCode === 200) resolve(JSON.parse(said) as Answer);
        else reject(new Error(`the bench's filter answers ${answer.statusCode}: ${said.slice(0, 200)}`));
      });
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer for ${timeoutMs} ms`)));
    outgoing.on("error", reject);
    outgoing.end(text);
  });
}
