/**
 * `npm run bench -- first-token`: how much later the first piece of a streamed answer is there with our filters than without, and with a filter that does nothing;
 * against an upstream that answers at once, and against one that takes as long as a replica. The median of the paired differences is what a filter adds.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { defaultVersion, projectRoot } from "../../envoy/harness/index.ts";
import { buildBinaries, buildFilters } from "../envoy/binaries.ts";
import { chatAnswer, chatRequest, chatStream } from "../envoy/chat.ts";
import { startCompanion } from "../envoy/companion.ts";
import { writeRequests } from "../envoy/load-generator.ts";
import { defaultRoute, models } from "../envoy/loads.ts";
import { machine } from "../envoy/machine.ts";
import { type RunningArm, startArm } from "../envoy/measure.ts";
import { positive } from "../flags.ts";
import { buildModule } from "../module.ts";
import { arms, emptyModule } from "./arms.ts";
import { measure } from "./measure.ts";
import { type Profile, profiles, replicaFirst } from "./profiles.ts";
import { markdown, type Result } from "./report.ts";

const fullBytes = 4_096;

/** Requests of each arm by profile, and the size of each. */
type Options = Readonly<Record<Profile["name"] | "bytes", number>>;

export async function main(argv: readonly string[]): Promise<void> {
  const options = parse(argv);
  const root = projectRoot();
  const progress = (text: string): void => void process.stderr.write(`${text}\n`);
  const stoppers: (() => Promise<void>)[] = [];
  try {
    buildBinaries(root);
    buildFilters(root);
    buildModule(root, emptyModule);
    const conditions = machine(root);
    const files = await writeRequests([], false);
    stoppers.push(files.remove);
    const [answer, events] = [join(files.folder, "answer.json"), join(files.folder, "events.txt")];
    writeFileSync(answer, chatAnswer());
    writeFileSync(events, chatStream());
    const routes = [...models.map(({ route }) => route), defaultRoute].join(",");
    const upstream = await startCompanion(join(root, "build/bench/bin/upstream"), [
      // Only the first piece counts, so the others come as fast as they travel alone. Not fewer of them, though that would save most of the run: after a stream of
      // 13 events the next request still finds its code in the caches, and even bare Envoy answers in about 0.6 of the time.
      ...["-routes", routes, "-answer", answer, "-events", events, "-pace", "1us"],
      ...["-first", `${replicaFirst.millis}ms`, "-first-jitter", String(replicaFirst.jitter)],
    ]);
    stoppers.push(upstream.stop);
    const running: RunningArm[] = [];
    for (const arm of arms) {
      const started = await startArm(arm, root, upstream.ready);
      stoppers.push(started.stop);
      running.push(started);
    }
    const body = chatRequest({ model: models[0]?.model ?? "", bytes: options.bytes, seed: 1, stream: true });
    const results: Result[] = [];
    for (const profile of profiles) {
      progress(`bench: ${profile.name}, ${options[profile.name]} requests of each arm`);
      const samples = await measure({ arms: running, profile, requests: options[profile.name], body });
      results.push({ profile, arms: running.map(({ arm: { name } }, at) => ({ name, samples: samples[at] ?? [] })) });
    }
    const { cores, cpu, kernel, node, loadAverage } = conditions;
    const report = markdown({
      conditions: `Requests of ${Buffer.byteLength(body)} bytes; Envoy ${defaultVersion()}, one worker each; ${cores} x ${cpu}, Linux ${kernel}, Node ${node}; load average ${loadAverage.toFixed(2)} at the start`,
      results,
    });
    const folder = join(root, isFull(options) ? "bench/results" : "build/bench/results");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "first-token.md"), report);
    console.log(report);
    progress(`bench: results in ${folder}`);
  } finally {
    for (const stop of stoppers.reverse()) await stop().catch((error: unknown) => progress(`bench: ${error}`));
  }
}

/** Only a full run may replace the checked-in results. */
const isFull = (options: Options): boolean =>
  options.bytes === fullBytes && profiles.every(({ name, requests }) => options[name] >= requests);

function parse(argv: readonly string[]): Options {
  const command = new Command("bench first-token").description(
    "time to the first byte of a streamed answer, one request at a time",
  );
  for (const { name, requests } of profiles) {
    command.option(`--${name} <n>`, `requests of each arm against the upstream \`${name}\``, positive, requests);
  }
  command.option("--bytes <n>", "size of the request", positive, fullBytes);
  return command.parse(argv, { from: "user" }).opts<Options>();
}
