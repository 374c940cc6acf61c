/**
 * `npm run bench -- first-token`: how much later the first piece of a streamed answer is there with our filters than without.
 *
 * One connection per Envoy, one request at a time, the arms one after the other for each request, so that a slow moment of the machine hits them alike. What is
 * measured is the time from writing the request to the first byte of the answer's body, at the client; the median of the paired differences is what a filter adds.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { defaultVersion, projectRoot } from "../../envoy/harness/index.ts";
import { arms as allArms } from "../envoy/arms/index.ts";
import { buildBinaries, buildFilters } from "../envoy/binaries.ts";
import { chatAnswer, chatRequest, chatStream } from "../envoy/chat.ts";
import { startCompanion } from "../envoy/companion.ts";
import { writeRequests } from "../envoy/load-generator.ts";
import { defaultRoute, models } from "../envoy/loads.ts";
import { machine } from "../envoy/machine.ts";
import { type RunningArm, startArm } from "../envoy/measure.ts";
import { pairedDifferences, quantile } from "../envoy/statistics.ts";

const names = ["bare", "llm-router", "llm-gateway"];
/** Requests of each arm that warm up connections and caches. */
const warmUp = 200;
/** Fewer are a trial. */
const fullRequests = 2_000;

export async function main(argv: readonly string[]): Promise<void> {
  const command = new Command("bench first-token")
    .description("time to the first byte of a streamed answer, one request at a time")
    .option("--requests <n>", "requests of each arm", positive, fullRequests)
    .option("--bytes <n>", "size of the request", positive, 4_096);
  const { requests, bytes } = command.parse(argv, { from: "user" }).opts<{ requests: number; bytes: number }>();
  const root = projectRoot();
  const stoppers: (() => Promise<void>)[] = [];
  try {
    buildBinaries(root);
    buildFilters(root);
    const files = await writeRequests([], false);
    stoppers.push(files.remove);
    const [answer, events] = [join(files.folder, "answer.json"), join(files.folder, "events.txt")];
    writeFileSync(answer, chatAnswer());
    writeFileSync(events, chatStream());
    const routes = [...models.map(({ route }) => route), defaultRoute].join(",");
    const upstream = await startCompanion(join(root, "build/bench/bin/upstream"), [
      // Only the first piece counts: the others shall not take long.
      ...["-routes", routes, "-answer", answer, "-events", events, "-pace", "1us"],
    ]);
    stoppers.push(upstream.stop);
    const running: RunningArm[] = [];
    for (const arm of allArms.filter(({ name }) => names.includes(name))) {
      const started = await startArm(arm, root, upstream.ready);
      stoppers.push(started.stop);
      running.push(started);
    }
    const body = chatRequest({ model: models[0]?.model ?? "", bytes, seed: 1, stream: true });
    const clients = running.map(({ arm, address }) => ({ name: arm.name, ...client(address, body) }));
    stoppers.push(async () => clients.forEach(({ close }) => void close()));
    const times = clients.map((): number[] => []);
    for (let round = 0; round < warmUp + requests; round++) {
      for (let turn = 0; turn < clients.length; turn++) {
        const index = (round + turn) % clients.length;
        const micros = (await clients[index]?.firstByte()) ?? Number.NaN;
        if (round >= warmUp) times[index]?.push(micros);
      }
    }
    const report = table(
      clients.map(({ name }, index) => ({ name, times: times[index] ?? [] })),
      `${requests} requests of ${bytes} bytes each, one at a time; Envoy ${defaultVersion()}; ${machine(root).cpu}`,
    );
    const folder = join(root, requests >= fullRequests ? "bench/results" : "build/bench/results");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "first-token.md"), report);
    console.log(report);
  } finally {
    for (const stop of stoppers.reverse()) await stop().catch((error: unknown) => console.error(`bench: ${error}`));
  }
}

/** One keep-alive connection; every answer is read to its end before the next request. */
function client(address: string, body: string): { firstByte(): Promise<number>; close(): void } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const url = `http://${address}/v1/chat/completions`;
  const headers = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "x-bench-answer": "sse",
  };
  const firstByte = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const start = process.hrtime.bigint();
      const outgoing = request(url, { method: "POST", headers, agent, timeout: 30_000 }, (answer) => {
        let micros: number | undefined;
        answer.on("data", () => {
          micros ??= Number(process.hrtime.bigint() - start) / 1_000;
        });
        answer.on("error", reject);
        answer.on("end", () => {
          if (answer.statusCode === 200 && micros !== undefined) resolve(micros);
          else reject(new Error(`answer ${answer.statusCode} from ${address}`));
        });
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer from ${address}`)));
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  return { firstByte, close: () => agent.destroy() };
}

function table(rows: readonly { name: string; times: readonly number[] }[], conditions: string): string {
  const base = rows[0]?.times ?? [];
  const micros = (value: number): string => value.toFixed(0);
  const lines = rows.map(({ name, times }) => {
    const added = pairedDifferences(times, base);
    const cells = [0.5, 0.9, 0.99].map((fraction) => micros(quantile(times, fraction)));
    const spread = [0.5, 0.25, 0.75].map((fraction) => micros(quantile(added, fraction)));
    return `| ${name} | ${cells.join(" | ")} | ${times === base ? "" : `${spread[0]} (${spread[1]} to ${spread[2]})`} |`;
  });
  return [
    `Time to the first byte of a streamed answer in µs. ${conditions}.`,
    "",
    "| arm | median | p90 | p99 | added: median of paired differences (quartiles) |",
    "| --- | ---: | ---: | ---: | ---: |",
    ...lines,
    "",
  ].join("\n");
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("want a whole number above 0");
  return value;
}
