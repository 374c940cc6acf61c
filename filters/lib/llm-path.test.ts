import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apiOf, type Path, read } from "../../test/lib/llm-path-driver.ts";

/** A table of paths as clients send them, and differential tests against a reference on strings. */

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function isUtf8(bytes: Buffer): boolean {
  try {
    utf8.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** What `read` is to find, written down a second time. */
function reference(path: Buffer): Path {
  const text = path.toString("latin1").replace(/\?.*$/s, "");
  const found: Path = {
    end: text.length,
    method: "none",
    raw: "",
    model: Buffer.alloc(0),
    truncated: false,
    malformed: false,
  };
  const call = /^(.*):(generate|streamGenerate)Content$/s.exec(text);
  if (call === null) return found;
  found.method = call[2] === "generate" ? "generate" : "stream";
  const model = /^.*\/(?:models|tunedModels)\/(.*)$/s.exec(call[1] ?? "")?.[1];
  if (model === undefined) return found;
  found.raw = model;
  const decoded = model.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  const bytes = Buffer.from(decoded, "latin1");
  found.model = bytes.subarray(0, 256);
  found.truncated = bytes.length > 256;
  found.malformed =
    bytes.length > 0 &&
    (/%(?![0-9a-fA-F]{2})/.test(model) ||
      [...bytes].some((byte) => byte < 0x20 || byte === 0x7f) ||
      decoded.split("/").some((segment) => ["", ".", ".."].includes(segment)) ||
      (!found.truncated && !isUtf8(bytes)));
  return found;
}

function check(path: Buffer | string): Path {
  const found = read(path);
  expect(found).toEqual(reference(Buffer.from(path)));
  return found;
}

describe("paths", () => {
  it.each([
    ["/v1/chat/completions", 20, "none", "", ""],
    ["/v1/chat/completions?x=/models/a:generateContent", 20, "none", "", ""],
    ["/v1beta/models/gemini-2.5-pro:generateContent", 45, "generate", "gemini-2.5-pro", "gemini-2.5-pro"],
    [
      "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse&key=a",
      51,
      "stream",
      "gemini-2.5-pro",
      "gemini-2.5-pro",
    ],
    ["/v1/projects/p/locations/l/publishers/google/models/g:generateContent", 69, "generate", "g", "g"],
    ["/v1beta/tunedModels/mine-123:generateContent", 44, "generate", "mine-123", "mine-123"],
    ["/models/models/tunedModels/x:generateContent", 44, "generate", "x", "x"],
    ["/v1beta/models/google/gemini:generateContent", 44, "generate", "google/gemini", "google/gemini"],
    ["/v1beta/models/google%2Fgemini:generateContent", 46, "generate", "google%2Fgemini", "google/gemini"],
    ["/v1beta/models/llama3:8b:generateContent", 40, "generate", "llama3:8b", "llama3:8b"],
    ["/v1beta/models/a%3Ab%25:generateContent", 39, "generate", "a%3Ab%25", "a:b%"],
    ["/v1beta/models/%E4%bd%a0:generateContent", 40, "generate", "%E4%bd%a0", "你"],
    ["/v1beta/models/:generateContent", 31, "generate", "", ""],
    ["/v1/projects/p/endpoints/7:generateContent", 42, "generate", "", ""],
    ["/v1beta/Models/x:generateContent", 32, "generate", "", ""],
    [":generateContent", 16, "generate", "", ""],
    ["generateContent", 15, "none", "", ""],
    ["/v1beta/models/x:GenerateContent", 32, "none", "", ""],
    ["/v1beta/models/x:countTokens", 28, "none", "", ""],
    ["/v1beta/models/x:generateContent/", 33, "none", "", ""],
    ["", 0, "none", "", ""],
    ["?", 0, "none", "", ""],
  ])("%s", (path, end, method, raw, model) => {
    expect(check(path)).toEqual({ end, method, raw, model: Buffer.from(model), truncated: false, malformed: false });
  });

  it.each([
    "%",
    "%4",
    "%4g",
    "%g4",
    "a%",
    "%00",
    "%0a",
    "%7F",
    "a\x01",
    "%ff",
    "%c0%af",
    "%ed%a0%80",
    "%e4%bd",
    ".",
    "..",
    "a/../b",
    "a%2f..%2Fb",
    "%2e%2e",
    "a//b",
    "/a",
    "a/",
    "%2Fa",
  ])("refuses %j", (model) => {
    expect(check(`/v1beta/models/${model}:generateContent`).malformed).toBe(true);
    expect(check(`/v1beta/models/${model}:streamGenerateContent?a`).malformed).toBe(true);
  });

  it.each(["...", ".a", "a.", "%2e%2e%2e", "a/b.../c", "%20", "a+b"])("takes %j", (model) => {
    expect(check(`/v1beta/models/${model}:generateContent`).malformed).toBe(false);
  });

  it("keeps 256 bytes and says when there are more", () => {
    expect(check(`/models/${"é".repeat(128)}:generateContent`)).toMatchObject({ truncated: false, malformed: false });
    expect(check(`/models/${"é".repeat(128)}x:generateContent`)).toMatchObject({ truncated: true, malformed: false });
    expect(check(`/models/${"é".repeat(128)}%:generateContent`)).toMatchObject({ truncated: true, malformed: true });
    // The name is cut inside a letter: that is no wrong UTF-8.
    expect(check(`/models/x${"é".repeat(128)}:generateContent`)).toMatchObject({ truncated: true, malformed: false });
  });

  it("agrees with the reference on names in any spelling", () => {
    const letter = fc.oneof(
      fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
      fc.constantFrom("/", ".", ":", "%"),
    );
    const spelled = fc.tuple(letter, fc.constantFrom("plain", "escaped", "lower")).map(([text, how]) => {
      const bytes = Buffer.from(text);
      if (how === "plain") return bytes.toString("latin1");
      const escaped = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0").toUpperCase()}`).join("");
      return how === "lower" ? escaped.toLowerCase() : escaped;
    });
    const model = fc.array(spelled, { maxLength: 300, size: "medium" }).map((letters) => letters.join(""));
    const prefix = fc.constantFrom("/v1beta/models/", "/v1/publishers/google/models/", "/tunedModels/", "/x/", "");
    const method = fc.constantFrom(":generateContent", ":streamGenerateContent", ":countTokens", "");
    fc.assert(
      fc.property(prefix, model, method, fc.constantFrom("", "?", "?alt=sse"), (...parts) => {
        check(Buffer.from(parts.join(""), "latin1"));
      }),
      { numRuns: 2000 },
    );
  });

  it("takes any bytes", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
      fc
        .constantFrom("/models/", "/tunedModels", ":generateContent", ":stream", "%", "%4", "?", "/", "..")
        .map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => void check(Buffer.concat(pieces))),
      { numRuns: 2000 },
    );
  });
});

describe("the API of a suffix", () => {
  it.each([
    ["/chat/completions", "openai.chat"],
    ["/v1/chat/completions", "openai.chat"],
    ["/completions", "openai.completions"],
    ["/xchat/completions", "openai.completions"],
    ["/responses", "openai.responses"],
    ["/embeddings", "openai.embeddings"],
    ["/messages", "anthropic.messages"],
    ["/anthropic/v1/messages/count_tokens", "anthropic.messages"],
    [":generateContent", "gemini.generate"],
    [":streamGenerateContent", "gemini.generate"],
    ["/audio/transcriptions", "openai.other"],
    ["/images/edits", "openai.other"],
    ["/responses/compact", "openai.other"],
    ["/count_tokens", "openai.other"],
    ["completions", "openai.other"],
    ["/", "openai.other"],
    ["", "openai.other"],
  ])("%s is %s", (suffix, name) => expect(apiOf(suffix)).toBe(name));
});
