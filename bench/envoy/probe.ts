/**
 * Proves that an arm does its job before it is timed: both models reach their upstream, and the tokens that the answers report have been counted.
 * An arm that fails is no arm: the probe throws.
 */
import { request } from "node:http";
import { type EnvoyProcess, waitFor } from "../../envoy/harness/index.ts";
import type { Arm, Surroundings } from "./arms/index.ts";
import { probeListener } from "./bootstrap.ts";
import { authorization, chatRequest, usageOfAnswer, usageOfStream } from "./chat.ts";
import { defaultRoute, models } from "./loads.ts";

interface Tokens {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

interface Answer {
  readonly status: number;
  readonly upstream: string | undefined;
  readonly usage: string | undefined;
  readonly body: string;
}

const timeoutMs = 10_000;

/** Which parts of the job the arm was seen to do, for the report. */
export interface Proof {
  readonly routed: boolean;
  readonly usageOfAnswer: boolean;
  readonly usageOfStream: boolean;
  /** What became of a request whose JSON is cut off after the model: the status of a refusal, or that it went on. Shows who reads all of it. */
  readonly cutRequest: string;
  /** What its budgets said afterwards: exactly the tokens of the answers, or at least these; undefined when it has none that can be asked. */
  readonly charged: "exactly" | "at least" | undefined;
}

export async function probe(arm: Arm, envoy: EnvoyProcess, around: Surroundings): Promise<Proof> {
  const address = await envoy.listenerAddress(probeListener);
  // Usage first: a filter may hand its counts over late, and what other requests left would be mixed in.
  const countedAnswer = await countsUsage(arm, envoy, address, false, usageOfAnswer);
  const countedStream = await countsUsage(arm, envoy, address, true, usageOfStream);
  const charged = await chargesBudget(arm, address, around);
  for (const { model, route } of models) {
    for (const modelFirst of [false, true]) {
      for (const bytes of [300, 200_000]) {
        // Another question each: what is the same but for the order of its fields may be answered from a cache.
        const seed = modelFirst ? 7 : 3;
        const answer = await ask(address, chatRequest({ model, bytes, seed, modelFirst }), false);
        const want = arm.routes ? route : defaultRoute;
        if (answer.status !== 200 || answer.upstream !== want) {
          const got = `status ${answer.status} from upstream ${answer.upstream}: ${answer.body.slice(0, 200)}`;
          throw new Error(`${arm.name} does not route ${model} to ${want}: ${got}`);
        }
      }
    }
  }
  const cut = await ask(
    address,
    chatRequest({ model: models[0]?.model ?? "", bytes: 300, seed: 5 }).slice(0, -1),
    false,
  );
  const cutRequest =
    cut.status === 200 ? (cut.upstream === models[0]?.route ? "routed" : "default route") : `${cut.status}`;
  return { routed: arm.routes, usageOfAnswer: countedAnswer, usageOfStream: countedStream, cutRequest, charged };
}

async function chargesBudget({ name, charges }: Arm, address: string, around: Surroundings): Promise<Proof["charged"]> {
  if (charges === undefined) return undefined;
  const { exact, read } = charges;
  const wanted = [usageOfAnswer, usageOfStream].reduce(
    (sum, each) => sum + each.prompt_tokens + each.completion_tokens,
    0,
  );
  let before = await read(around);
  // What the requests before these left may still be on its way.
  await waitFor(
    async () => {
      const last = before;
      before = await read(around);
      return before === last;
    },
    { what: `the budgets of ${name} to come to rest`, intervalMs: 200 },
  );
  for (const stream of [false, true]) {
    await ask(address, chatRequest({ model: models[0]?.model ?? "", bytes: 300, seed: 6, stream }), stream);
  }
  let charged = 0;
  await waitFor(
    async () => {
      const all = await read(around);
      // What was taken in advance may have been taken for earlier requests.
      charged = exact ? all - before : all;
      return exact ? charged === wanted : charged >= wanted;
    },
    { timeoutMs: 5_000, what: "the charges" },
  ).catch((cause: unknown) => {
    throw new Error(`${name} charged ${charged} tokens, the answers say ${wanted}`, { cause });
  });
  return exact ? "exactly" : "at least";
}

async function countsUsage(
  arm: Arm,
  envoy: EnvoyProcess,
  address: string,
  stream: boolean,
  want: Tokens,
): Promise<boolean> {
  const { usage: source } = arm;
  if (source.kind === "none") return false;
  const body = chatRequest({ model: models[0]?.model ?? "", bytes: 300, seed: 4, stream });
  const wanted = `${want.prompt_tokens},${want.completion_tokens}`;
  if (source.kind === "metadata") {
    const { usage } = await ask(address, body, stream);
    if (usage === wanted) return true;
    throw new Error(
      `${arm.name} leaves usage ${usage} in metadata, the ${stream ? "stream" : "answer"} says ${wanted}`,
    );
  }
  const read = async (): Promise<readonly [number, number]> => {
    const stats = await envoy.admin.stats(`^(${source.prompt}|${source.completion})$`);
    return [stats.get(source.prompt) ?? 0, stats.get(source.completion) ?? 0];
  };
  const [prompt, completion] = await read();
  await ask(address, body, stream);
  let counted = "";
  await waitFor(
    async () => {
      const now = await read();
      counted = `${now[0] - prompt},${now[1] - completion}`;
      return counted === wanted;
    },
    { timeoutMs: 10_000, what: "the counters" },
  ).catch((cause: unknown) => {
    const what = `counted ${counted}, the ${stream ? "stream" : "answer"} says ${wanted}`;
    throw new Error(`${arm.name} ${what} (${source.prompt}, ${source.completion})`, { cause });
  });
  return true;
}

function ask(address: string, body: string, events: boolean): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/json",
      authorization,
      ...(events ? { "x-bench-answer": "sse" } : {}),
    };
    const url = `http://${address}/v1/chat/completions`;
    const outgoing = request(url, { method: "POST", headers, agent: false, timeout: timeoutMs }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on("data", (piece: Buffer) => pieces.push(piece));
      answer.on("error", reject);
      answer.on("end", () =>
        resolve({
          status: answer.statusCode ?? 0,
          upstream: answer.headers["x-upstream"]?.toString(),
          usage: answer.headers["x-usage"]?.toString(),
          body: Buffer.concat(pieces).toString(),
        }),
      );
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer for ${timeoutMs} ms`)));
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
