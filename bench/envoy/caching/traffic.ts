/** What is asked and what is answered: one question for each answer, so that each has an entry of its own; and questions that nobody has asked before. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chatAnswer, chatRequest, chatStream, eventsPerStream, httpRequest } from "../chat.ts";
import { models } from "../loads.ts";

/** Request header that names the answer. */
export const answerHeader = "x-bench-answer";
/** The load generator writes each request's number in its place. */
export const numberMark = "<<request>>";
/** Path of the answer to a GET, without its name. */
export const answersPath = "/answers/";

const kib = 1_024;
const questionBytes = 4 * kib;
const sizes = [1, 4, 16, 60];
const lines = "\r\n";

export interface CannedAnswer {
  /** Such as "16k-sse". */
  readonly name: string;
  readonly title: string;
  readonly contentType: string;
  /** Events, `[DONE]` included; 0: a JSON document. */
  readonly events: number;
  readonly body: string;
}

/** One arm is measured under each load of its kind. */
export interface CachingLoad {
  readonly name: string;
  readonly title: string;
  /** Requests per arm and round. */
  readonly requests: number;
  readonly connections: number;
  readonly events: number;
  /** Every request is another one. */
  readonly numbered: boolean;
  /** Without the folder; one of a GET ends in `.get`. */
  readonly file: string;
}

const envelope = { id: "chatcmpl-7f1d0c52a9", created: 1_760_000_000, model: "gpt-4o-2024-11-20" };
const usage = { prompt_tokens: 1_010, completion_tokens: 200, total_tokens: 1_210 };

/** Text of at least so many characters. */
function prose(characters: number, seed: number): string {
  const request = chatRequest({ model: "", bytes: characters + questionBytes, seed });
  const { messages } = JSON.parse(request) as { readonly messages: readonly { readonly content: string }[] };
  return messages.map(({ content }) => content).join(" ");
}

/** A chat completion of `bytes`, or up to 2 fewer. */
function document(bytes: number): string {
  const text = prose(bytes, bytes);
  const write = (characters: number): string =>
    JSON.stringify({
      ...envelope,
      object: "chat.completion",
      choices: [
        { index: 0, message: { role: "assistant", content: text.slice(0, characters) }, finish_reason: "stop" },
      ],
      usage,
    });
  let characters = bytes;
  let written = write(characters);
  for (let over = 1; over > 0; written = write(characters)) {
    over = Buffer.byteLength(written) - bytes;
    characters -= Math.max(Math.ceil(over / 3), 0);
  }
  return written;
}

/** The events of one of at least `bytes`, a word each. */
function stream(bytes: number): string[] {
  const chunk = (choices: readonly object[], more: object = {}): string =>
    `data: ${JSON.stringify({ ...envelope, object: "chat.completion.chunk", choices, ...more })}\n\n`;
  const delta = (content: object, finish: string | null): string =>
    chunk([{ index: 0, delta: content, finish_reason: finish }]);
  const end = [delta({}, "stop"), chunk([], { usage }), "data: [DONE]\n\n"];
  const events = [delta({ role: "assistant", content: "" }, null)];
  let size = Buffer.byteLength([...events, ...end].join(""));
  for (const word of prose(bytes, bytes + 1).split(" ")) {
    const event = delta({ content: ` ${word}` }, null);
    size += Buffer.byteLength(event);
    if (size > bytes && events.length > 1) break;
    events.push(event);
  }
  return [...events, ...end];
}

export const answers: readonly CannedAnswer[] = sizes.flatMap((size): CannedAnswer[] => {
  const events = stream(size * kib);
  return [
    {
      name: `${size}k-json`,
      title: `${size} KB JSON`,
      contentType: "application/json",
      events: 0,
      body: document(size * kib),
    },
    {
      name: `${size}k-sse`,
      title: `${size} KB SSE`,
      contentType: "text/event-stream",
      events: events.length,
      body: events.join(""),
    },
  ];
});

const model = models[0]?.model ?? "";

/** The question whose answer this is. */
export const question = ({ events }: CannedAnswer, seed: number): string =>
  chatRequest({ model, bytes: questionBytes, seed, stream: events > 0 });

/** Loads of requests that the caches have answers to. */
export const hitLoads: readonly CachingLoad[] = [1, 16].flatMap((connections) =>
  answers.map(({ name, title, events }) => ({
    name: `${name}-c${connections}`,
    title: `${title}, ${connections} connection${connections === 1 ? "" : "s"}`,
    requests: connections === 1 ? 400 : 1_500,
    ...{ connections, events, numbered: false, file: name },
  })),
);

/** Loads of requests that nobody has asked before. */
export const missLoads: readonly CachingLoad[] = [
  { name: "json-c1", title: "JSON, 1 connection", connections: 1, requests: 250, events: 0 },
  { name: "json-c16", title: "JSON, 16 connections", connections: 16, requests: 1_200, events: 0 },
  { name: "sse-c16", title: "SSE, 200 events, 16 connections", connections: 16, requests: 96, events: eventsPerStream },
].map((load) => ({ ...load, numbered: true, file: `miss-${load.name}` }));

/** A POST with the header that names its answer. */
function post(body: string, answer: string): Buffer {
  const raw = httpRequest(body, false);
  const end = raw.indexOf(lines + lines);
  return Buffer.concat([raw.subarray(0, end), Buffer.from(`${lines}${answerHeader}: ${answer}`), raw.subarray(end)]);
}

/** Asks for an answer by path. Without what the client proves itself by: Envoy's cache does not answer such requests. */
function get(answer: string): string {
  const [, ...headers] = httpRequest("", false).toString().split(lines);
  const own = headers.filter((line) => !/^(content-|authorization:|$)/.test(line));
  return [`GET ${answersPath}${answer} HTTP/1.1`, ...own, "", ""].join(lines);
}

export interface CachingFiles {
  readonly folder: string;
  /** What the upstream of misses answers. */
  readonly answer: string;
  readonly events: string;
  remove(): Promise<void>;
}

/** All requests, in a folder of their own. */
export async function writeTraffic(): Promise<CachingFiles> {
  const folder = await mkdtemp(join(tmpdir(), "tokenmesh-bench-"));
  const write = (name: string, content: string | Buffer): Promise<void> => writeFile(join(folder, name), content);
  for (const [index, answer] of answers.entries()) {
    await write(answer.name, post(question(answer, index + 1), answer.name));
    await write(`${answer.name}.get`, get(answer.name));
  }
  for (const [index, { file, events }] of missLoads.entries()) {
    const request = JSON.parse(chatRequest({ model, bytes: questionBytes, seed: 100 + index, stream: events > 0 })) as {
      messages: { content: string }[];
    };
    request.messages.push({ content: numberMark, ...{ role: "user" } });
    await write(file, httpRequest(JSON.stringify(request), events > 0));
  }
  await write("answer.json", chatAnswer());
  await write("events.txt", chatStream());
  return {
    folder,
    answer: join(folder, "answer.json"),
    events: join(folder, "events.txt"),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
