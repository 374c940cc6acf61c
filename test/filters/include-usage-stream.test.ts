import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AMOUNT,
  call,
  counts,
  done,
  event,
  left,
  start,
  stream,
  streamHeaders,
  token,
  usage,
} from "./include-usage-driver.ts";
import { clientBytes, dueBytes } from "./include-usage-reference.ts";
import type { LimitHost } from "./rate-limit-driver.ts";

/** The client's view of a stream whose usage it did not ask for. */

const body = { ...call, stream: true };
const LIMIT = 64 * 1024;

const text = (value: unknown): string => JSON.stringify(value);
const only = { id: "c", choices: [], usage: counts };

/** The bytes come in those pieces; after each the client has what is due, and at the end what the reference says. */
function check(gateway: LimitHost, pieces: readonly Uint8Array[], how: "empty" | "last" = "empty"): void {
  const whole = Buffer.concat(pieces);
  const expected = clientBytes(whole);
  const request = gateway.ask(body);
  request.responseHeaders(streamHeaders);
  let came = 0;
  for (const [index, piece] of pieces.entries()) {
    const last = how === "last" && index === pieces.length - 1;
    request.responseBody(piece, { endOfStream: last });
    came += piece.length;
    const got = Buffer.from(request.downstream.body);
    expect(expected.subarray(0, got.length).equals(got)).toBe(true);
    expect(got.length).toBeGreaterThanOrEqual(dueBytes(whole.subarray(0, came)).length);
  }
  if (how === "empty") request.responseBody("", { endOfStream: true });
  expect(Buffer.from(request.downstream.body).toString("latin1")).toBe(expected.toString("latin1"));
  expect(request.downstream.ended).toBe(true);
}

function pieces(bytes: Buffer, size: number): Buffer[] {
  if (bytes.length === 0) return [bytes];
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

const lines =
  (...all: string[]) =>
  (end: string) =>
    all.map((line) => line + end).join("");
const pretty = JSON.stringify(only, undefined, 1).split("\n");

/** By name: a stream, with any line end; and whether something is taken out of it. */
const streams: [name: string, make: (end: string) => string, taken: boolean][] = [
  ["one that ends with usage", lines(`data: ${text(only)}`, "", "data: [DONE]", ""), true],
  ["usage first", lines(`data:${text(only)}`, "", `data: ${text({ choices: [{}] })}`, ""), true],
  ["usage, not quite at its end", lines(`data: ${text(only)}`), false],
  ["a mark of byte order", (end) => `\u{feff}data: ${text(only)}${end}${end}data: 1${end}${end}`, true],
  [
    "other fields around it",
    lines("event: x", "id: 1", `data: ${text(only)}`, "retry: 5", ": c", "", "data: 1", ""),
    true,
  ],
  ["comments in front of it", lines(": a", ": b", "", ": c", `data: ${text(only)}`, "", "data: 1", ""), true],
  ["several lines of data", lines("event: x", ...pretty.map((line) => `data: ${line}`), "", "data: 1", ""), true],
  ["two in a row", lines(`data: ${text(only)}`, "", `data: ${text(only)}`, "", ""), true],
  ["usage behind everything", lines('data: {"usage":{}, "id":"x", "choices" : [ ] } ', ""), true],
  ["Azure's first event", lines(`data: ${text({ choices: [], prompt_filter_results: [] })}`, ""), false],
  ["null usage", lines(`data: ${text({ choices: [], usage: null })}`, ""), false],
  ["a list for usage", lines(`data: ${text({ choices: [], usage: [] })}`, ""), false],
  ["choices beside usage", lines(`data: ${text({ usage: counts, choices: [{ delta: {} }] })}`, ""), false],
  ["choices that are no list", lines(`data: ${text({ usage: counts, choices: {} })}`, ""), false],
  ["null choices", lines(`data: ${text({ usage: counts, choices: null })}`, ""), false],
  ["numbers for choices", lines(`data: ${text({ choices: [0], usage: counts })}`, ""), false],
  ["no choices", lines(`data: ${text({ usage: counts })}`, ""), false],
  ["the same, deeper", lines(`data: ${text({ a: only, choices: [] })}`, "", `data: ${text([only])}`, ""), false],
  ["the same, as a text", lines(`data: ${text({ choices: [{ delta: text(only) }] })}`, ""), false],
  ["half of it", lines(`data: ${text(only).slice(0, -1)}`, "", `data: ${text(only)}}`, ""), false],
  ["another field", lines(`datum: ${text(only)}`, "", `data : ${text(only)}`, "", ` data: ${text(only)}`, ""), false],
  ["fields that begin alike", lines(`dat: ${text(only)}`, "", `dataa: ${text(only)}`, "", "data", ""), false],
  ["nothing but line ends", lines("", "", ""), false],
  ["nothing", () => "", false],
];

describe.each([
  ["LF", "\n"],
  ["CRLF", "\r\n"],
  ["CR", "\r"],
])("with %s", (_, end) => {
  it.each(streams)("%s: cut into 1, 2, 3 and 7 bytes, cut once, or whole", async (_stream, make, taken) => {
    const gateway = await start();
    const bytes = Buffer.from(make(end));
    expect(clientBytes(bytes).length < bytes.length).toBe(taken);
    for (const how of ["empty", "last"] as const) {
      for (const size of [1, 2, 3, 7, bytes.length || 1]) check(gateway, pieces(bytes, size), how);
    }
    for (let at = 1; at < bytes.length; at++) check(gateway, [bytes.subarray(0, at), bytes.subarray(at)]);
    expect(gateway.trapped).toBe(false);
  });
});

it("is that of the reference for any lines, line ends and pieces", async () => {
  const gateway = await start();
  const line = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom("", "", `data: ${text(only)}`, `data:${text({ choices: [{}] })}`) },
    fc.constantFrom(...pretty.map((part) => `data: ${part}`)),
    fc.constantFrom(
      "data: [DONE]",
      "data",
      "data:",
      ":",
      ": ping",
      "event: x",
      "id",
      "da",
      "\u{feff}",
      "data: {",
      "data: }",
    ),
    fc.constantFrom('data: {"choices":[]', 'data: ,"usage":{}}', 'data: "choices":[],"usage":{"a":1}', "data: ,"),
    fc.string({ maxLength: 20 }).map((any) => any.replace(/[\r\n]/g, "")),
  );
  const all = fc.array(fc.tuple(line, fc.constantFrom("\n", "\n", "\r\n", "\r")), { maxLength: 24 });
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(all, cuts, fc.constantFrom("empty" as const, "last" as const), (made, sizes, how) => {
      const bytes = Buffer.from(made.flat().join(""));
      const parts: Buffer[] = [];
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const size = sizes[i % sizes.length] ?? 1;
        parts.push(bytes.subarray(at, at + size));
        at += size;
      }
      check(gateway, parts.length > 0 ? parts : [bytes], how);
      gateway.host.advance(60_000);
    }),
    { numRuns: 1000 },
  );
  expect(gateway.trapped).toBe(false);
});

describe("an end in the middle of an event", () => {
  const half = usage.slice(0, 30);

  it.each([
    ["with the last piece", [token + half], true],
    ["with an empty piece", [token, half], false],
  ])("loses nothing: %s", async (_, parts, last) => {
    const gateway = await start();
    const request = gateway.ask(body).responseHeaders(streamHeaders);
    for (const [index, part] of parts.entries())
      request.responseBody(part, { endOfStream: last && index === parts.length - 1 });
    if (!last) request.responseBody("", { endOfStream: true });
    expect(request.downstream.text).toBe(token + half);
  });

  it("leaves the next stream alone when the client went away", async () => {
    const gateway = await start();
    gateway.ask(body).responseHeaders(streamHeaders).responseBody(half).end();
    expect(stream(gateway.ask(body), [token, usage, done]).downstream.text).toBe(token + done);
  });

  it("of trailers passes what came of events that are known", async () => {
    const gateway = await start();
    const request = gateway.ask(body).responseHeaders(streamHeaders);
    const known = token.slice(0, token.indexOf("[{") + 2);
    request.responseBody(token + usage + known).responseTrailers([["x-t", "1"]]);
    expect(request.downstream.text).toBe(token + known);
    expect(request.downstream.ended).toBe(true);
  });
});

describe("an answer that cannot be filtered passes as it is", () => {
  const type = (value: string): [string, string][] =>
    streamHeaders.map(([name, old]) => [name, name === "content-type" ? value : old]);
  const add = (name: string, value: string): [string, string][] => [...streamHeaders, [name, value]];

  it.each<[string, [string, string][]]>([
    ["compressed", add("content-encoding", "gzip")],
    ["JSON", type("application/json")],
    ["another type with that beginning", type("text/event-streams")],
    ["no type", streamHeaders.filter(([name]) => name !== "content-type")],
  ])("%s", async (_, headers) => {
    const gateway = await start();
    const sized: [string, string][] = [...headers, ["content-length", "9"]];
    const request = stream(gateway.ask(body), [token, usage.slice(0, 9), usage.slice(9)], sized);
    expect(request.downstream.text).toBe(token + usage);
    expect(request.downstream.headers?.get("content-length")).toBe("9");
  });

  it.each<[string, [string, string][]]>([
    ["identity", add("content-encoding", "identity")],
    ["a type in capitals", type("Text/Event-Stream")],
    ["a type with a space behind it", type("text/event-stream ;charset=utf-8")],
  ])("but not with %s", async (_, headers) => {
    const gateway = await start();
    expect(stream(gateway.ask(body), [token, usage], headers).downstream.text).toBe(token);
  });

  it("Envoy's own answer", async () => {
    const gateway = await start();
    const request = gateway.ask(body);
    const details = "no_healthy_upstream";
    request.reply({
      status: 503,
      details,
      body: Buffer.from("no healthy upstream"),
      headers: [],
      grpcStatus: undefined,
    });
    expect(request.downstream.text).toContain('"code":"no_healthy_upstream"');
  });
});

describe("an event that is large", () => {
  const large = (size: number) => {
    const rest = event({ ...only, id: "" });
    return event({ ...only, id: "i".repeat(size - rest.length) });
  };
  const unfiltered = (gateway: LimitHost) => gateway.host.metrics.get("tokenmesh_llm_streams_unfiltered") ?? 0;

  it.each([1, 4_096, 1e9])(
    "is taken out up to 64 KiB, in pieces of %s bytes; one more ends the filtering",
    async (size) => {
      const gateway = await start();
      for (const more of [-1, 0, 1]) {
        // The last line end is not counted.
        const bytes = Buffer.from(token + large(LIMIT + 1 + more) + token + usage + done);
        const request = stream(gateway.ask(body), pieces(bytes, size));
        const expected = more <= 0 ? token + token + done : bytes.toString();
        expect(request.downstream.text === expected).toBe(true);
        expect(unfiltered(gateway)).toBe(more <= 0 ? 0 : 1);
      }
      expect(AMOUNT - left(gateway)).toBe(3 * 12);
    },
  );

  it("and those of a thousand streams wait in bounded memory, and nothing of them is lost", async () => {
    const gateway = await start({
      rules: [{ name: "all", limits: [{ unit: "tokens", amount: 1e12, per: "minute" }] }],
    });
    const begun = `data: {"usage":{"x":"${"y".repeat(60_000)}`;
    const end = `"},"choices":[{}]}\n\n`;
    const streams = Array.from({ length: 1_000 }, () => {
      const request = gateway.ask({ ...call, stream: true });
      return request.responseHeaders(streamHeaders).responseBody(begun, {});
    });
    expect(gateway.trapped).toBe(false);
    // Of the 60 MB that are undecided, 8 MiB wait; Wasm memory never shrinks.
    expect(gateway.host.workerVm(0, "limits").memory.pages).toBeLessThan(600);
    expect(unfiltered(gateway)).toBeGreaterThan(0);
    for (const one of streams) {
      one.responseBody(end, {}).responseBody("", { endOfStream: true });
      expect(one.downstream.text === begun + end).toBe(true);
    }
    // What waited has gone, so the next streams are filtered again.
    const next = stream(gateway.ask({ ...call, stream: true }), [token, usage.slice(0, 20), usage.slice(20), done]);
    expect(next.downstream.text).toBe(token + done);
  });

  it.each([5_000, 65_536, 1e9])("and is another one is of no interest, in pieces of %s bytes", async (size) => {
    const gateway = await start();
    const other = event({ id: "c", choices: [{ delta: { content: "x".repeat(200_000) } }] });
    const bytes = Buffer.from(other + usage + other + usage + done + other);
    const request = stream(gateway.ask(body), pieces(bytes, size));
    expect(request.downstream.text === other + other + done + other).toBe(true);
    expect(unfiltered(gateway)).toBe(0);
    // No edit but for the two, in pieces of one window.
    const edits = request.trace.filter(
      ({ name, during }) => name.includes("set_buffer") && during.includes("response"),
    );
    if (size <= 65_536) expect(edits.length).toBeLessThanOrEqual(6);
  });

  it("and late to be known ends the filtering wherever it is cut", async () => {
    const gateway = await start();
    for (const [known, filtered] of [
      [LIMIT - 1, true],
      [LIMIT + 8, false],
    ] as const) {
      const late = event({ id: "i".repeat(known - 'data: {"id":"","choices":[{'.length), choices: [{}] });
      const bytes = Buffer.from(late + usage + done);
      for (const size of [1_000, 65_535, 65_536, 1e9]) {
        const got = stream(gateway.ask(body), pieces(bytes, size)).downstream.text;
        expect(got === (filtered ? late + done : bytes.toString())).toBe(true);
      }
    }
  });
});

it("thousands of streams at once and one after the other keep no memory", async () => {
  const gateway = await start();
  const pages = () => gateway.host.workerVm(0, "limits").memory.pages;
  const part = event({ ...only, id: "i".repeat(30_000) }).slice(0, -2);
  const wave = () => {
    const open = Array.from({ length: 200 }, () => gateway.ask(body).responseHeaders(streamHeaders).responseBody(part));
    for (const request of open) request.end();
    gateway.host.advance(60_000);
  };
  for (let i = 0; i < 3; i++) wave();
  const before = pages();
  for (let i = 0; i < 10; i++) wave();
  expect(pages() - before).toBe(0);
  expect(gateway.trapped).toBe(false);
});
