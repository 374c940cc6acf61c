import fc from "fast-check";
import { expect, it } from "vitest";
import { chat, type Headers, lengthOf, RouterHost, refusalOf, sent } from "./router-driver.ts";
import { type Asked, type Decision, decide, type Match, type Rules } from "./rule-reference.ts";

/** Rules against a reference that knows nothing of the filter: any mix of conditions, any request. */

const names = ["gpt-4o", "gpt-4o-mini", "acme/gpt-4o", "acme/llama", "acme/", "acme", "other/gpt-4o", "é"];
const texts = ["hi", 'say "hi"\\', "part", "part one\npart two", "ünï 😀", "x".repeat(300)];
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });
const some = <T>(...values: T[]) =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: values.length });

const headerMatch = fc.record({ name: fc.constantFrom("x-team", "x-two", "accept") }).chain(({ name }) =>
  fc.oneof(
    fc.constantFrom("red", "red,blue", "re", "a b").map((exact) => ({ name, exact })),
    fc.constantFrom("red", "re", "red,").map((prefix) => ({ name, prefix })),
    fc.boolean().map((present) => ({ name, present })),
  ),
);

const bounds = fc.constantFrom(
  { atLeast: 1 },
  { atLeast: 0 },
  { below: 1 },
  { below: 2 },
  { atLeast: 2, below: 80 },
  { atLeast: 75, below: 76 },
);

const match: fc.Arbitrary<Match> = fc
  .record({
    models: optional(some("gpt-4o", "gpt-*", "*", "llama", "acme*", "é")),
    provider: optional(fc.constantFrom("acme", "other", "ac")),
    apis: optional(
      some(
        "openai.chat",
        "openai.completions",
        "openai.responses",
        "openai.embeddings",
        "openai.other",
        "anthropic.messages",
        "gemini.generate",
      ),
    ),
    paths: optional(some("/v1/", "/v1", "/v1beta/", "/other")),
    headers: optional(fc.array(headerMatch, { minLength: 1, maxLength: 2 })),
    tenants: optional(some("t1", "t1,t2", "t3")),
    promptTokens: optional(bounds),
    stream: optional(fc.boolean()),
    tools: optional(fc.boolean()),
    images: optional(fc.boolean()),
    session: optional(fc.boolean()),
    lastUserMessage: optional(
      fc.constantFrom("hi", "^hi$", "one\npart", "partpart", "ü\\w*", "x{200}", '"hi"', "\\\\$"),
    ),
  })
  .chain((all) => {
    // Few conditions at a time, or nothing would ever hold.
    const given = Object.entries(all).filter(([, value]) => value !== undefined);
    const kept = fc.subarray(given, { minLength: Math.min(1, given.length), maxLength: Math.min(3, given.length) });
    return kept.map((entries): Match => Object.fromEntries(entries));
  });

const config: fc.Arbitrary<Rules> = fc
  .record({
    tokensPerByte: fc.constantFrom(0.25, 1, 0.01, 4),
    matches: fc.array(fc.option(match, { nil: undefined, freq: 20 }), { minLength: 1, maxLength: 6 }),
    models: fc.constantFrom<Rules["models"][]>(
      [{ model: "gpt-4o", route: "exact", upstreamModel: "renamed" }],
      [
        { model: "acme*", route: "prefix" },
        { model: "acme/g*", route: "longer" },
      ],
      [{ model: "*", route: "any" }],
    ),
  })
  .map(({ tokensPerByte, matches, models }) => ({
    tenantHeader: "x-tenant",
    tokensPerByte,
    models,
    rules: matches.map((one, index) => ({ name: `r${index}`, ...(one && { match: one }) })),
  }));

const part = fc.oneof(
  fc.constantFrom(...texts).map((text) => ({ type: "text", text })),
  fc.constant({ type: "image_url", image_url: { url: "data:" } }),
);
const message = fc.record({
  role: fc.constantFrom("user", "assistant", "system"),
  content: fc.oneof(fc.constantFrom(...texts), fc.array(part, { maxLength: 12 })),
});
const prompt = fc.oneof(fc.constantFrom(...texts), fc.array(message, { maxLength: 4 }));
const maybe = <T>(key: string, value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: value.map((one) => ({ [key]: one })) });
const id = fc.constantFrom<unknown>("abc", "", 7, null);

const body = fc
  .tuple(
    fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...names).map((model) => ({ model })) },
      { weight: 1, arbitrary: fc.constantFrom({}, { model: 1 }, { model: "" }) },
    ),
    maybe("stream", fc.constantFrom<unknown>(true, false, "true", null)),
    maybe("tools", fc.constantFrom<unknown>([], [{}], [{}, {}], {}, null)),
    maybe("functions", fc.constantFrom<unknown>([], [{}])),
    maybe("session_id", id),
    maybe("user", id),
    maybe(
      "metadata",
      id.map((user_id) => ({ user_id })),
    ),
    fc.constantFrom("messages", "input", "prompt").chain((key) => prompt.map((value) => ({ [key]: value }))),
    maybe("system", fc.constantFrom(...texts)),
  )
  .map((members) => Object.assign({}, ...members) as Record<string, unknown>);

const geminiBody = fc
  .array(fc.record({ role: fc.constantFrom("user", "model"), parts: fc.array(part, { maxLength: 3 }) }), {
    maxLength: 3,
  })
  .map((contents) => ({ contents }));

const headers: fc.Arbitrary<Headers> = fc.array(
  fc.oneof(
    fc.constantFrom<readonly [string, string]>(
      ["x-team", "red"],
      ["x-team", "blue"],
      ["x-two", "a b"],
      ["accept", "red"],
      ["x-tenant", "t1"],
      ["x-tenant", "t2"],
    ),
  ),
  { maxLength: 4 },
);

const openaiPaths = [
  "/v1/chat/completions",
  "/v1/chat/completions?a=/v1beta/",
  "/v1/completions",
  "/v1/responses",
  "/other/v1/embeddings",
  "/v1/messages",
  "/v1/messages/count_tokens",
  "/v1/audio/speech",
];
const geminiPath = fc
  // A path with an empty segment names no model: another upstream path could hide behind it.
  .tuple(
    fc.constantFrom(...names.filter((name) => !name.endsWith("/"))),
    fc.constantFrom("generateContent", "streamGenerateContent"),
  )
  .map(([name, method]) => `/v1beta/models/${encodeURIComponent(name)}:${method}?alt=sse`);

const asked: fc.Arbitrary<Asked> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ path: fc.constantFrom(...openaiPaths), headers, body }) },
  { weight: 1, arbitrary: fc.record({ path: geminiPath, headers, body: geminiBody }) },
);

function outcome(gateway: RouterHost, { path, headers: extra, body: document }: Asked): Decision {
  const json = JSON.stringify(document);
  const stream = gateway.send(json, [...chat({ ":path": path, "content-length": lengthOf(json) }), ...extra]);
  const refusal = refusalOf(stream);
  if (refusal === "model_required" || refusal === "model_not_found") return { refusal };
  const { route = "", cluster, model = "", path: upstreamPath = "", body: upstream } = sent(stream);
  const inPath = /\/models\/([^:]*):/.exec(upstreamPath)?.[1];
  const upstreamModel =
    inPath === undefined ? (JSON.parse(upstream) as { model: string }).model : decodeURIComponent(inPath);
  const named = { model: Buffer.from(model, "latin1").toString(), upstreamModel };
  return cluster === undefined ? { route, ...named } : { rule: cluster, ...named };
}

it("decide as the reference does", async () => {
  const gateway = await RouterHost.start({ models: [{ model: "*", route: "any" }] });
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(config, fc.array(asked, { minLength: 25, maxLength: 25 }), (spec, requests) => {
      const targets = Object.fromEntries(spec.rules.map(({ name }) => [name, { cluster: name }]));
      const rules = spec.rules.map((rule) => ({ ...rule, targets: [{ target: rule.name }] }));
      expect(gateway.router.update({ ...spec, targets, rules })).toEqual({ accepted: true });
      for (const request of requests) {
        const expected = decide(spec, request);
        expect(outcome(gateway, request)).toEqual(expected);
        const kind = Object.keys(expected)[0] ?? "";
        seen.set(kind, (seen.get(kind) ?? 0) + 1);
      }
    }),
    { numRuns: 200 },
  );
  // Every way out was taken often, or the test would prove little.
  for (const kind of ["rule", "route", "refusal"]) expect(seen.get(kind)).toBeGreaterThan(100);
});
