/** Starts one replica from the command line: `node build/node/envoy/replica/main.js --name r1 --models gpt-4o-mini --port 0`. */
import { Command, InvalidArgumentError, Option } from "commander";
import { startReplica } from "./server.ts";
import { speedUp, TIMING_PROFILES, type TimingProfile } from "./timing.ts";

interface Flags {
  name: string;
  models: string;
  port: number;
  timing: TimingProfile;
  speedup: number;
  answerTokens: number;
}

const number = (text: string): number => {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new InvalidArgumentError("expected a number >= 0");
  return value;
};

const flags = new Command("replica")
  .description("a model replica without a model; prints one line `ready {...}`")
  .option("--name <name>", "name sent in x-replica", "replica")
  .option("--models <list>", "comma-separated models it serves", "gpt-4o-mini")
  .option("--port <port>", "port on 127.0.0.1; 0 takes a free one", number, 0)
  .addOption(new Option("--timing <profile>", "speed").choices(Object.keys(TIMING_PROFILES)).default("h100"))
  .option("--speedup <factor>", "makes the profile this many times faster", number, 1)
  .option("--answer-tokens <n>", "length of an answer without a limit", number, 24)
  .parse()
  .opts<Flags>();

const models = flags.models.split(",");
const replica = await startReplica({
  name: flags.name,
  models,
  port: flags.port,
  timing: speedUp(TIMING_PROFILES[flags.timing], flags.speedup || 1),
  answerTokens: flags.answerTokens,
  keepRequests: 0,
});
console.log(`ready ${JSON.stringify({ url: replica.url, name: replica.name, models })}`);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void replica.close());
