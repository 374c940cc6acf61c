import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { piecesOf, statusOf } from "../fixtures/transcripts/recording.ts";
import { splits } from "../host/index.ts";
import { type Transcript, transcripts } from "../lib/transcripts.ts";
import { chat, lengthOf, RouterHost, refusalOf, sent } from "./router-driver.ts";

/** Whole requests and answers of every API through the router: in any pieces, and after changes that make them wrong. */

const plain = { models: [{ model: "*", route: "any" }] };
const renaming = { models: [{ model: "*", route: "any", upstreamModel: "another-name" }] };
/** Reads all of every body, and matches none. */
const reading = {
  models: [{ model: "*", route: "any" }],
  targets: { t: { route: "t" } },
  rules: [
    {
      name: "r",
      match: { lastUserMessage: "\\x00", promptTokens: { atLeast: 90_000_000 } },
      targets: [{ target: "t" }],
    },
  ],
};

const headersOf = ({ path, contentType }: Transcript, body: Uint8Array) =>
  chat({ ":path": path, "content-type": contentType, "content-length": lengthOf(body) });
const latin1 = (text: string) => Buffer.from(text).toString("latin1");
const isGemini = ({ api }: Transcript) => api === "gemini.generate";
const isForm = ({ contentType }: Transcript) => contentType.startsWith("multipart/");

/** The request with another model, by plain text: transcripts name theirs once where it counts. */
function renamed(transcript: Transcript): { path: string; body: string } {
  const { path, request } = transcript;
  const body = transcript.requestBody.toString("latin1");
  const model = latin1(request.model);
  if (isGemini(transcript)) return { path: path.replace(request.model, "another-name"), body };
  if (isForm(transcript)) return { path, body: body.replace(`\r\n\r\n${model}\r\n`, "\r\n\r\nanother-name\r\n") };
  return {
    path,
    body: body.replace(/("model"\s*:\s*)"[^"]*"/, '$1"another-name"'),
  };
}

describe.each(transcripts)("$name", (transcript) => {
  const { requestBody, answerBody, answerType, request, usage } = transcript;

  it("is routed by its model in any pieces, and its answer comes back as it is", async () => {
    for (const config of [plain, reading]) {
      const gateway = await RouterHost.start(config);
      const answers = [{ chunks: piecesOf(transcript) }, ...splits(answerBody, { everyCut: false })];
      for (const [i, { name, chunks }] of [...splits(requestBody, { everyCut: false })].entries()) {
        const answer = answers[i % answers.length]?.chunks ?? [];
        const stream = gateway.router.exchange({ headers: headersOf(transcript, requestBody), body: chunks }, () => ({
          headers: { ":status": String(statusOf(transcript)), "content-type": answerType },
          body: answer,
        }));
        expect([name, sent(stream).route, sent(stream).model]).toEqual([name, "any", latin1(request.model)]);
        expect(Buffer.from(stream.upstream.body).equals(requestBody)).toBe(true);
        expect(Buffer.from(stream.downstream.body).equals(answerBody)).toBe(true);
        expect(stream.downstream.frames.reduce((sum, size) => sum + size, 0)).toBe(answerBody.length);
      }
      gateway.host.advance(500);
      const totals = (kind: string) => {
        const found = gateway.host.metrics
          .names()
          .find((one) => one.includes("token_usage") && one.endsWith(`=${kind}`));
        return new Set(found === undefined ? [-1] : gateway.host.metrics.samples(found));
      };
      expect(totals("input")).toEqual(new Set([usage.inputTotal]));
      expect(totals("output")).toEqual(new Set([usage.outputTotal]));
    }
  });

  it("is renamed where its model stands and nowhere else", async () => {
    const gateway = await RouterHost.start(renaming);
    const expected = renamed(transcript);
    for (const { name, chunks } of splits(requestBody, { everyCut: false, random: 5 })) {
      const stream = gateway.router.exchange({ headers: headersOf(transcript, requestBody), body: chunks });
      const body = Buffer.from(stream.upstream.body).toString("latin1");
      expect([name, sent(stream).path, body === expected.body]).toEqual([name, expected.path, true]);
      expect(sent(stream).length).toBe(String(expected.body.length));
    }
  });
});

/** Values of `model` at the top level, whatever the grammar below; undefined when strings or brackets do not match. */
function topLevelModels(text: string): string[] | undefined {
  const tokens = text.match(/"(?:[^"\\]|\\[\s\S])*"|[^\s"]/g) ?? [];
  const models: string[] = [];
  const open: string[] = [];
  for (const [i, token] of tokens.entries()) {
    if (token === '"') return undefined;
    if (token === "{" || token === "[") open.push(token);
    else if (token === "}" && open.pop() !== "{") return undefined;
    else if (token === "]" && open.pop() !== "[") return undefined;
    const isKey = open.length === 1 && token.length > 1 && tokens[i + 1] === ":";
    if (isKey && decoded(token) === "model") models.push(decoded(tokens[i + 2] ?? "") ?? "");
  }
  return open.length === 0 ? models : undefined;
}

function decoded(token: string): string | undefined {
  try {
    const value: unknown = JSON.parse(token);
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** What the router must make of a JSON body: a model, `refused`, or `either` where only the grammar of inner values is wrong. */
function verdictOn(body: Buffer): { model?: string; verdict: "routed" | "refused" | "either" } {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return { verdict: "refused" };
  }
  const models = topLevelModels(text);
  const [model = ""] = models ?? [];
  const usable = models?.length === 1 && model !== "" && model.isWellFormed() && Buffer.byteLength(model) <= 256;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: such names fit no header
  if (!usable || /[\u0000-\u001f\u007f]/.test(model)) return { verdict: "refused" };
  try {
    const document: unknown = JSON.parse(text);
    const isObject = typeof document === "object" && document !== null && !Array.isArray(document);
    return { model, verdict: isObject ? "routed" : "refused" };
  } catch {
    return { model, verdict: "either" };
  }
}

/** Values of the fields `model`, as bytes. */
function formModels(body: Buffer, contentType: string): string[] {
  const boundary = /boundary="?([^";]+)/.exec(contentType)?.[1];
  const parts = `\r\n${body.toString("latin1")}`.split(`\r\n--${boundary}`).slice(1);
  return parts.flatMap((part) => {
    const end = part.indexOf("\r\n\r\n");
    return /content-disposition:[^\r\n]*;\s*name="model"/i.test(part.slice(0, end)) ? [part.slice(end + 4)] : [];
  });
}

const change = fc.tuple(
  fc.constantFrom("flip", "insert", "remove", "cut", "copy"),
  fc.nat(),
  fc.nat(255),
  fc.constantFrom(...'"\\{}[]:,\u0000'),
);
const changes = fc.array(change, { minLength: 1, maxLength: 3 });

function mutated(body: Buffer, list: [string, number, number, string][]): Buffer {
  let text = body.toString("latin1");
  for (const [kind, place, byte, special] of list) {
    const at = place % (text.length + 1);
    const piece = byte < 128 ? special : String.fromCharCode(byte);
    if (kind === "cut") text = text.slice(0, at);
    else if (kind === "copy") text = text.slice(0, at) + text.slice(Math.max(0, at - byte));
    else text = text.slice(0, at) + (kind === "remove" ? "" : piece) + text.slice(at + (kind === "insert" ? 0 : 1));
  }
  return Buffer.from(text, "latin1");
}

describe.each(transcripts)("$name, changed", (transcript) => {
  const pieces = (body: Buffer, cut: number) => [
    body.subarray(0, cut % (body.length + 1)),
    body.subarray(cut % (body.length + 1)),
  ];

  it("never reaches the upstream by a model that others would not see, and never hangs", async () => {
    const gateways = await Promise.all([plain, reading].map((config) => RouterHost.start(config)));
    fc.assert(
      fc.property(changes, fc.nat(), (list, cut) => {
        const body = mutated(transcript.requestBody, list);
        for (const gateway of gateways) {
          const stream = gateway.router.exchange({ headers: headersOf(transcript, body), body: pieces(body, cut) });
          expect([stream.upstream.ended || stream.localReply !== undefined, gateway.trapped]).toEqual([true, false]);
          const refusal = refusalOf(stream);
          const seen = sent(stream).model;
          if (refusal === undefined) expect(Buffer.from(stream.upstream.body).equals(body)).toBe(true);
          if (isGemini(transcript))
            expect(refusal === undefined ? seen : transcript.request.model).toBe(transcript.request.model);
          else if (isForm(transcript)) {
            if (refusal === undefined) expect(formModels(body, transcript.contentType)).toEqual([seen]);
          } else {
            const { model, verdict } = verdictOn(body);
            if (verdict !== "either")
              expect([list, refusal === undefined ? "routed" : "refused"]).toEqual([list, verdict]);
            if (refusal === undefined) expect(seen).toBe(latin1(model ?? ""));
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it("gets its answer unchanged, whatever that says", async () => {
    const gateway = await RouterHost.start({ ...plain, accessLog: true, responseHeaders: true });
    fc.assert(
      fc.property(changes, fc.nat(), (list, cut) => {
        const answer = mutated(transcript.answerBody, list);
        const request = { headers: headersOf(transcript, transcript.requestBody), body: transcript.requestBody };
        const stream = gateway.router.exchange(request, () => ({
          headers: { ":status": String(statusOf(transcript)) },
          body: pieces(answer, cut),
        }));
        expect([stream.ended, gateway.trapped]).toEqual([true, false]);
        expect(Buffer.from(stream.downstream.body).equals(answer)).toBe(true);
        expect(JSON.parse(Buffer.from(stream.filterState("llm") ?? []).toString())).toMatchObject({ target: "any" });
      }),
      { numRuns: 100 },
    );
  });
});
