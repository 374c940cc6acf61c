/** `npm run bench -- envoy caching [flags]`: what it costs to give an answer again, out of Envoy and from beside it, and what a cache adds where it has none. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defaultVersion, projectRoot, waitFor } from "../../../envoy/harness/index.ts";
import { RedisServer, redisBinary } from "../../../test/fixtures/redis-server.ts";
import { emptyModule } from "../../first-token/arms.ts";
import { roundsOf } from "../../flags.ts";
import { buildModule } from "../../module.ts";
import { buildBinaries, buildFilters, buildProgram } from "../binaries.ts";
import { startCompanion } from "../companion.ts";
import { machine } from "../machine.ts";
import { type CachingArm, hitArms, missArms } from "./arms.ts";
import { callsOfHundred, measureCaching, prove, type RunningCache, startCache } from "./measure.ts";
import { type Origin, startOrigin } from "./origin.ts";
import { cachingSvg } from "./plot.ts";
import { type CachingReport, cachingMarkdown, summariseCaching } from "./report.ts";
import { hitLoads, missLoads, writeTraffic } from "./traffic.ts";

const fullRounds = 12;
const route = "none";

export async function main(argv: readonly string[]): Promise<void> {
  const rounds = roundsOf(argv, {
    name: "bench envoy caching",
    description: "CPU time and latency of answers that are given again",
    fullRounds,
  });
  const root = projectRoot();
  const stoppers: (() => Promise<void>)[] = [];
  const progress = (text: string): void => void process.stderr.write(`${text}\n`);
  try {
    buildBinaries(root);
    buildProgram(root, "redis_cache", "./caching/redis_cache");
    buildFilters(root, "prompt-cache", "llm-gateway");
    buildModule(root, emptyModule);
    const { cores, cpu, kernel, node, go, loadAverage } = machine(root);
    const files = await writeTraffic();
    stoppers.push(files.remove);
    const origin = await startOrigin();
    stoppers.push(origin.close);
    const upstream = await startCompanion(join(root, "build/bench/bin/upstream"), [
      ...["-routes", route, "-answer", files.answer, "-events", files.events],
    ]);
    stoppers.push(upstream.stop);
    const redis = await RedisServer.start();
    stoppers.push(() => redis.stop());
    const start = async (arm: CachingArm, address: string): Promise<RunningCache> => {
      const running = await startCache(arm, { root, upstream: address, helper: "" }, redis);
      stoppers.push(running.stop);
      return running;
    };
    const hits: RunningCache[] = [];
    for (const arm of hitArms) {
      const running = await start(arm, origin.address);
      // The proxy has filled Redis.
      await prove(running, origin, arm.helper === "processor");
      hits.push(running);
      progress(`bench: ${arm.name} does its job`);
    }
    const misses: RunningCache[] = [];
    for (const arm of missArms) misses.push(await start(arm, upstream.ready[route] ?? ""));
    const calls = origin.calls();
    const samples = await measureCaching({
      groups: [
        { arms: hits, loads: hitLoads },
        { arms: misses, loads: missLoads },
      ],
      ...{ root, rounds, files, onRound: (round) => progress(`bench: round ${round} of ${rounds}`) },
    });
    if (origin.calls() !== calls)
      throw new Error(`${origin.calls() - calls} calls of the model server: not all were hits`);
    const asked = missLoads.reduce((sum, { requests }) => sum + requests * (rounds + 1), 0);
    await allStored(misses.at(-1), asked);
    const report: CachingReport = {
      conditions: `Envoy ${defaultVersion()}, one worker each; ${cores} x ${cpu}, Linux ${kernel}, Node ${node}, ${go}, ${storeVersions(root)}; ${rounds} rounds; load average ${loadAverage.toFixed(2)} at the start`,
      ...{ hits: { loads: hitLoads, arms: hitArms }, misses: { loads: missLoads, arms: missArms }, samples },
      together: await countTogether(hits, origin),
    };
    const folder = join(root, rounds >= fullRounds ? "bench/results" : "build/bench/results");
    mkdirSync(folder, { recursive: true });
    const { conditions, together } = report;
    const figures = JSON.stringify({ conditions, together, summaries: summariseCaching(report) }, null, 1);
    // A line for each sample, which there are thousands of.
    const lines = samples.map((sample) => JSON.stringify(sample)).join(",\n");
    const json = `${figures.slice(0, -2)},\n "samples": [\n${lines}\n ]\n}\n`;
    writeFileSync(join(folder, "envoy-caching.md"), cachingMarkdown(report));
    writeFileSync(join(folder, "envoy-caching.svg"), cachingSvg(report));
    writeFileSync(join(folder, "envoy-caching.json"), json);
    console.log(cachingMarkdown(report));
    progress(`bench: results in ${folder}`);
  } finally {
    for (const stop of stoppers.reverse()) await stop().catch((error: unknown) => progress(`bench: ${String(error)}`));
  }
}

/** Calls for a hundred equal requests at once, of all arms that ask the model server themselves. */
async function countTogether(hits: readonly RunningCache[], origin: Origin): Promise<CachingReport["together"]> {
  const counted = [];
  for (const running of hits.filter(({ arm }) => arm.hit !== undefined && arm.helper !== "processor")) {
    counted.push({ arm: running.arm.name, calls: await callsOfHundred(running, origin) });
  }
  return counted;
}

/** Every miss was one, and its answer was kept: the filter's own count, which it writes once a second. */
async function allStored(running: RunningCache | undefined, asked: number): Promise<void> {
  const name = "wasmcustom.tokenmesh_cache_answers;rule=all;outcome=stored";
  const stored = async (): Promise<number> =>
    (await running?.envoy?.admin.stats("tokenmesh_cache_answers"))?.get(name) ?? 0;
  let last = 0;
  const all = async (): Promise<boolean> => {
    last = await stored();
    return last === asked;
  };
  await waitFor(all, { what: `${asked} stored answers` }).catch((cause: unknown) => {
    throw new Error(`of ${asked} answers ${last} were stored`, { cause });
  });
}

/** Such as "Redis 7.2.4, go-redis v9.23.0". */
function storeVersions(root: string): string {
  const binary = redisBinary();
  const server = "path" in binary ? spawnSync(binary.path, ["--version"], { encoding: "utf8" }).stdout : "";
  const client = /go-redis\/v9 (\S+)/.exec(readFileSync(join(root, "bench/envoy/go.mod"), "utf8"))?.[1];
  return `Redis ${/v=(\S+)/.exec(server)?.[1] ?? "?"}, go-redis ${client ?? "?"}`;
}
