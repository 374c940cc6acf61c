/** What clients send: conversations that go on. Three quarters of a prompt have been sent before, the rest is new with each request. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chatRequest, chatStream, httpRequest } from "../chat.ts";
import { models } from "../loads.ts";

/** The load generator writes each request's number in its place. */
export const numberMark = "<<request>>";
/** Different beginnings. */
const conversations = 16;
/** Events of an answer, `[DONE]` included: few, because only the first one is of interest here. */
export const eventsPerAnswer = 12;

export interface PickingLoad {
  readonly name: string;
  readonly title: string;
  readonly requestBytes: number;
  readonly connections: number;
  /** Requests per second; 0: each as soon as the answer before it is there, which keeps all connections, and so the machine, busy. */
  readonly rate: number;
  /** Per arm and round. */
  readonly requests: number;
}

const kib = 1_024;
const load = (size: number, connections: number, requests: number, rate = 0): PickingLoad => ({
  name: `${size}k-c${connections}${rate > 0 ? `-${rate}` : ""}`,
  title: `${size} KB, ${connections} connection${connections === 1 ? "" : "s"}${rate > 0 ? `, ${rate} requests/s` : ""}`,
  requestBytes: size * kib,
  ...{ connections, rate, requests },
});

export const loads: readonly PickingLoad[] = [
  load(4, 1, 150),
  load(4, 20, 100, 250),
  load(4, 20, 500),
  load(220, 1, 60),
  load(220, 20, 40, 100),
  load(220, 20, 100),
];

/** JSON text of a streamed chat request with `numberMark` at three quarters of its messages. */
export function prompt(bytes: number, seed: number): string {
  const request = JSON.parse(chatRequest({ model: models[0]?.model ?? "", bytes, seed, stream: true })) as {
    messages: { content: string }[];
  };
  const message = request.messages[Math.floor(request.messages.length * 0.75)];
  if (message !== undefined) message.content = `${numberMark} ${message.content}`;
  return JSON.stringify(request);
}

export interface PickingFiles {
  readonly events: string;
  readonly answer: string;
  of(load: PickingLoad): readonly string[];
  remove(): Promise<void>;
}

/** In a folder of their own. */
export async function writePrompts(): Promise<PickingFiles> {
  const folder = await mkdtemp(join(tmpdir(), "tokenmesh-bench-"));
  const file = (bytes: number, seed: number): string => join(folder, `${bytes}-${seed}.http`);
  const seeds = Array.from({ length: conversations }, (_, index) => index + 1);
  for (const bytes of new Set(loads.map(({ requestBytes }) => requestBytes))) {
    for (const seed of seeds) await writeFile(file(bytes, seed), httpRequest(prompt(bytes, seed), true));
  }
  const [events, answer] = [join(folder, "events.txt"), join(folder, "answer.json")];
  const written = chatStream().split("\n\n");
  await writeFile(events, `${[...written.slice(0, eventsPerAnswer - 1), "data: [DONE]"].join("\n\n")}\n\n`);
  await writeFile(answer, "{}");
  return {
    events,
    answer,
    of: ({ requestBytes }) => seeds.map((seed) => file(requestBytes, seed)),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
