/** Calls for tests of endpoint picking: single ones, many at a time, and ones that end early. */
import { type Agent, request as http1Request, type IncomingMessage } from "node:http";
import type { Replica } from "../../envoy/replica/index.ts";
import { addressOf, MODEL, SERVED, SUBSET } from "./endpoint-gateway.ts";
import { http1, type RawAnswer } from "./http-client.ts";

export const CHAT = "/v1/chat/completions";

/** The body of a chat. `more`: further members. */
export const chatBody = (text: string, more: object = {}): string =>
  JSON.stringify({ model: MODEL, messages: [{ role: "user", content: text }], max_tokens: 2, ...more });

export interface Call {
  readonly text?: string;
  readonly more?: object;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Who may be picked: a list of addresses. */
  readonly among?: readonly string[];
  readonly agent?: Agent;
}

export interface Told {
  readonly status: number;
  /** The replica that answered, by its own word. */
  readonly replica: string;
  /** Its address, by the filter's word. */
  readonly served: string;
  readonly body: string;
  readonly headers: RawAnswer["headers"];
}

export async function ask(url: string, call: Call = {}): Promise<Told> {
  const { text = "hello", more, path = CHAT, among, agent } = call;
  const headers = { "content-type": "application/json", ...call.headers };
  const steered = among === undefined ? headers : { ...headers, [SUBSET]: among.join(",") };
  const request = { path, headers: steered, body: chatBody(text, more), ...(agent === undefined ? {} : { agent }) };
  return told(await http1(url, request));
}

export function told({ status, headers, body }: RawAnswer): Told {
  const served = String(headers[SERVED] ?? "");
  return { status, replica: String(headers["x-replica"] ?? ""), served, body: body.toString(), headers };
}

/** `count` calls, so many at a time. The n-th is `call(n)`. */
export async function askMany(url: string, count: number, atATime: number, call: (n: number) => Call): Promise<Told[]> {
  const answers: Told[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++) answers.push(await ask(url, call(n)));
  };
  await Promise.all(Array.from({ length: atATime }, client));
  return answers;
}

/** How often each value was there, for `toEqual`. */
export function tally<Item>(items: readonly Item[], key: (item: Item) => string | number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[key(item)] = (counts[key(item)] ?? 0) + 1;
  return counts;
}

/** The one whose name a replica has put into its answer. */
export function byName(replicas: readonly Replica[], name: string): Replica {
  const found = replicas.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no replica ${JSON.stringify(name)}`);
  return found;
}

/** The answers whose header names another endpoint than the one that answered. */
export function misnamed(replicas: readonly Replica[], answers: readonly Told[]): Told[] {
  return answers.filter(({ served, replica }) => served !== addressOf(byName(replicas, replica)));
}

export interface OpenCall {
  /** Resolves with the headers of the answer. */
  readonly answered: Promise<IncomingMessage>;
  /** Everything of the body that has come so far. */
  text(): string;
  /** Resolves at the end of the answer; rejects when it is broken off. */
  readonly ended: Promise<void>;
  /** Resets the connection, as a client does that is killed. */
  leave(): void;
}

/** A call whose answer the test watches as it comes. */
export function open(url: string, { text = "hello", more, headers = {}, path = CHAT }: Call = {}): OpenCall {
  const body = chatBody(text, more);
  const length = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const outgoing = http1Request(`${url}${path}`, { method: "POST", agent: false, headers: { ...length, ...headers } });
  let seen = "";
  let finish: () => void = () => {};
  let fail: (error: Error) => void = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });
  ended.catch(() => {});
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on("error", (error) => {
      reject(error);
      fail(error);
    });
    outgoing.on("response", (answer) => {
      answer.on("data", (chunk: Buffer) => {
        seen += chunk.toString();
      });
      answer.on("error", fail);
      answer.on("end", finish);
      resolve(answer);
    });
  });
  answered.catch(() => {});
  outgoing.end(body);
  return { answered, ended, text: () => seen, leave: () => void outgoing.socket?.resetAndDestroy() };
}
