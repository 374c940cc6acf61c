/**
 * What the path of an LLM request says: which API it is, and for Gemini the method and the model.
 *
 *   /v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse
 *                  ^modelStart   ^modelEnd             ^end
 *
 * The model is what lies between the last `/models/` or `/tunedModels/` and the last colon, percent-decoded. Google's resource ids have no slash, and its routes take one
 * segment only; but its client libraries write a name like `google/gemini-2.5-pro` into the path as it is, and a gateway has such names. So a slash
 * belongs to the name, plain or as `%2F`; what an upstream could resolve to another path (an empty, `.` or `..` segment) is malformed.
 *
 * Reference: google.api.http annotations of GenerativeService and PredictionService; RFC 3986.
 */
import { sameText } from "./json-capture";
import { MAX_VALUE } from "./json-scanner";
import { hex } from "./json-text";
import { Api } from "./llm-api";
import { Utf8Check } from "./utf8-check";

const GENERATE = ":generateContent";
const STREAM_GENERATE = ":streamGenerateContent";
const SLASH: u8 = 0x2f;
const DOT: u8 = 0x2e;

@final
export class LlmPath {
  /** Bytes of the path without its query. */
  end: i32 = 0;
  /** The path ends in one of Gemini's two methods. */
  isGemini: bool = false;
  /** It is the method that answers in pieces. */
  isStream: bool = false;
  /** The model as it stands in the path: [modelStart, modelEnd). Both 0 when the path names none. */
  modelStart: i32 = 0;
  modelEnd: i32 = 0;
  /** The model, decoded: `length` bytes, at most `MAX_VALUE`. */
  readonly value: usize = heap.alloc(MAX_VALUE);
  length: i32 = 0;
  /** The name is longer than `MAX_VALUE` bytes; the rest is not in `value`. */
  truncated: bool = false;
  /** A percent sign without two hex digits, a control character, wrong UTF-8, or an empty, `.` or `..` segment: no name to go by. */
  malformed: bool = false;

  private readonly utf8: Utf8Check = new Utf8Check();
  private segment: i32 = 0;
  private dots: i32 = 0;

  /** Reads `length` bytes of a :path header at `path`, query included. O(length). */
  read(path: usize, length: i32): void {
    this.end = find(path, length, 0x3f);
    this.isStream = endsWith(path, this.end, STREAM_GENERATE);
    this.isGemini = this.isStream || endsWith(path, this.end, GENERATE);
    this.modelStart = 0;
    this.modelEnd = 0;
    this.length = 0;
    this.truncated = false;
    this.malformed = false;
    if (!this.isGemini) return;
    const colon = this.end - (this.isStream ? STREAM_GENERATE.length : GENERATE.length);
    const start = modelStart(path, colon);
    if (start == 0) return;
    this.modelStart = start;
    this.modelEnd = colon;
    this.decode(path);
  }

  private decode(path: usize): void {
    let at = path + <usize>this.modelStart;
    const end = path + <usize>this.modelEnd;
    this.segment = 0;
    this.dots = 0;
    while (at < end) {
      let byte = load<u8>(at++);
      if (byte == 0x25) {
        // Behind the model stands a colon, which is no digit.
        const high = hex(load<u8>(at));
        const low = high < 0 ? -1 : hex(load<u8>(at, 1));
        if (low < 0) {
          this.malformed = true;
        } else {
          byte = <u8>((high << 4) | low);
          at += 2;
        }
      }
      this.push(byte);
    }
    // A name without any byte is missing, not wrong.
    if (this.length == 0) return;
    this.endSegment();
    this.utf8.reset();
    this.utf8.feed(this.value, this.length);
    // A name that is cut may be cut inside a character.
    if (!this.truncated && !this.utf8.complete) this.malformed = true;
  }

  private push(byte: u8): void {
    if (byte < 0x20 || byte == 0x7f) this.malformed = true;
    if (byte == SLASH) {
      this.endSegment();
    } else {
      this.segment++;
      if (byte == DOT) this.dots++;
    }
    if (this.length < MAX_VALUE) {
      store<u8>(this.value + <usize>this.length, byte);
      this.length++;
    } else {
      this.truncated = true;
    }
  }

  private endSegment(): void {
    if (this.dots == this.segment && this.segment < 3) this.malformed = true;
    this.segment = 0;
    this.dots = 0;
  }
}

/**
 * The API behind a path suffix of the configuration, or behind a whole path without query: what counts is how it ends. O(1).
 */
export function apiOfSuffix(path: usize, length: i32): Api {
  if (endsWith(path, length, "/chat/completions")) return Api.ChatCompletions;
  if (endsWith(path, length, "/completions")) return Api.Completions;
  if (endsWith(path, length, "/responses")) return Api.Responses;
  if (endsWith(path, length, "/embeddings")) return Api.Embeddings;
  if (endsWith(path, length, "/messages") || endsWith(path, length, "/messages/count_tokens")) return Api.AnthropicMessages;
  if (endsWith(path, length, GENERATE) || endsWith(path, length, STREAM_GENERATE)) return Api.GeminiGenerate;
  return Api.Other;
}

/** Name of an API in configurations, statistics and logs. A constant of the module: nothing is allocated. */
export function apiName(api: Api): string {
  switch (api) {
    case Api.ChatCompletions:
      return "openai.chat";
    case Api.Completions:
      return "openai.completions";
    case Api.Responses:
      return "openai.responses";
    case Api.Embeddings:
      return "openai.embeddings";
    case Api.AnthropicMessages:
      return "anthropic.messages";
    case Api.GeminiGenerate:
      return "gemini.generate";
    default:
      return "openai.other";
  }
}

/** Offset behind the last `/models/` or `/tunedModels/` of the first `length` bytes; 0 when there is none. */
function modelStart(path: usize, length: i32): i32 {
  for (let i = length; i > 0; i--) {
    if (load<u8>(path + <usize>i - 1) != SLASH) continue;
    if (endsWith(path, i, "/models/") || endsWith(path, i, "/tunedModels/")) return i;
  }
  return 0;
}

/** Offset of the first `byte`, or `length`. */
function find(at: usize, length: i32, byte: u8): i32 {
  for (let i = 0; i < length; i++) if (load<u8>(at + <usize>i) == byte) return i;
  return length;
}

function endsWith(text: usize, length: i32, name: string): bool {
  return length >= name.length && sameText(name, text + <usize>(length - name.length));
}
