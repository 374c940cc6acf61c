/**
 * Reads from the body of an LLM API call, while it streams by, what routing and scheduling need: model, limits, session, tools, images, where the messages are.
 *
 * One pass, constant memory, resumable at any byte, no allocation, never throws. The facts are those of `JSON.parse`: of duplicate keys the last one wins, and `count`
 * of a field tells that there were several. Facts read before the end are those of the members so far. `JsonWalker` says what is vouched for.
 *
 * References: OpenAI API reference (chat completions, completions, responses, embeddings), Anthropic messages, Gemini generateContent.
 */
import { ContentReader, FIRST_CONTENT_TAG } from "./content-reader";
import { sameText } from "./json-capture";
import { jsonNumber } from "./json-number";
import { JsonField, JsonKind, MAX_VALUE, ScanStatus } from "./json-scanner";
import { JsonWalker } from "./json-walker";
import { Api } from "./llm-api";
import { PromptSpans } from "./prompt-spans";
import { Flag, RequestField } from "./request-field";
import { SpanList } from "./span-list";
import { ROOT, WalkEvent } from "./walk-event";

/** Messages whose spans are kept: this many from the front, and as many from the back. */
const KEPT_MESSAGES: u32 = 8;

const FIELDS: i32 = 17;
/** Tags of the objects that hold fields; below `FIRST_CONTENT_TAG`, behind the fields. */
const STREAM_OPTIONS: i32 = 20;
const METADATA: i32 = 21;
const GENERATION_CONFIG: i32 = 22;

@final
export class ChatRequest {
  /** By `RequestField`. `value` is set for scalars; `start` and `end` for all. */
  readonly fields: JsonField[] = [];
  /** `stream_options`: `value` is set for scalars. */
  readonly streamOptions: JsonField = new JsonField(0, 0);
  /** It is an object without members. */
  streamOptionsEmpty: bool = false;
  /** Entries of `tools` and `functions`. */
  tools: u32 = 0;
  functions: u32 = 0;
  /** Spans of the messages. A string `input` or `prompt`, each string and each token list in one, is a message too. */
  readonly messages: SpanList = new SpanList(KEPT_MESSAGES);

  /** The body has members. */
  hasMembers: bool = false;
  /** It names something that changes while the request stays the same: a conversation that the server keeps, a search of the web, a container, remote tools. */
  live: bool = false;

  private readonly walker: JsonWalker = new JsonWalker();
  private readonly content: ContentReader = new ContentReader(this.walker, this.messages);
  private api: Api = Api.ChatCompletions;
  /** There were numbers in the prompt: it is a list of tokens. */
  private tokens: bool = false;

  constructor() {
    for (let i = 0; i < FIELDS; i++) this.fields.push(new JsonField(0, 0));
  }

  /** Ready for the body of a new request. */
  reset(api: Api): void {
    this.api = api;
    this.walker.reset();
    for (let i = 0; i < FIELDS; i++) unchecked(this.fields[i]).clear();
    this.streamOptions.clear();
    this.tools = 0;
    this.functions = 0;
    this.hasMembers = false;
    this.live = false;
    this.content.reset(api);
  }

  /** Consumes the next `length` bytes. `Complete` when the document is; `Invalid` and `Limit` are final, with the offset in `consumed`. */
  feed(from: usize, length: i32): ScanStatus {
    const walker = this.walker;
    walker.feed(from, length);
    while (true) {
      const event = walker.next();
      if (event == WalkEvent.Begin) this.begin();
      else if (event == WalkEvent.End) this.end();
      else return <ScanStatus>(<i32>event);
    }
  }

  get consumed(): u32 {
    return this.walker.consumed;
  }

  /** Offset behind the opening brace: where a member can be put in front of the others. */
  get firstMember(): u32 {
    return this.walker.firstMember;
  }

  /** Longest body; longer ones end in `Limit`. */
  set maxBytes(value: u32) {
    this.walker.maxBytes = value;
  }

  get hasTools(): bool {
    return this.tools + this.functions > 0;
  }

  /** Parts that are images, or files of Gemini. */
  get images(): u32 {
    return this.content.images;
  }

  /** UTF-8 bytes of the text in messages and system prompt. Tools and images are not in it. */
  get promptBytes(): u32 {
    return this.content.systemBytes + this.content.messageBytes;
  }

  /** Raw string tokens of the last user message that has text, tool results aside. */
  get userText(): SpanList {
    return this.content.userText;
  }

  /** Record where the prompt lies, for `prompt`. Set before `reset`; what is not recorded costs nothing. */
  set recordsPrompt(value: bool) {
    this.content.records = value;
  }

  /** Tools, system prompt and messages, as far as they were read; empty when they are not recorded. Until the next `reset`. */
  get prompt(): PromptSpans {
    return this.content.prompt;
  }

  /** Value of a field that is a number, else NaN: then it is absent, null or no number. */
  number(index: RequestField): f64 {
    const field = unchecked(this.fields[index]);
    if (field.kind != JsonKind.Number || field.truncated) return NaN;
    return jsonNumber(field.value, field.length);
  }

  flag(index: RequestField): Flag {
    const field = unchecked(this.fields[index]);
    if (field.kind == JsonKind.Absent) return Flag.Absent;
    if (field.kind != JsonKind.Literal) return Flag.Other;
    if (literal(field, "true")) return Flag.True;
    if (literal(field, "false")) return Flag.False;
    return literal(field, "null") ? Flag.Absent : Flag.Other;
  }

  private begin(): void {
    const walker = this.walker;
    const scope = walker.scope;
    if (scope == ROOT) this.member();
    else if (scope >= FIRST_CONTENT_TAG) this.content.begin();
    else if (scope == RequestField.Messages) this.message();
    else if (scope == RequestField.System) this.content.beginSystemPart();
    else if (scope == RequestField.Tools) this.tools++;
    else if (scope == RequestField.Functions) this.functions++;
    else if (scope == STREAM_OPTIONS) {
      this.streamOptionsEmpty = false;
      if (walker.keyIs("include_usage")) this.take(RequestField.IncludeUsage);
    } else if (scope == METADATA) {
      if (walker.keyIs("user_id")) this.take(RequestField.MetadataUser);
    } else if (scope == GENERATION_CONFIG) {
      if (walker.keyIs("maxOutputTokens") || walker.keyIs("max_output_tokens")) this.take(RequestField.MaxOutputTokens);
      else if (walker.keyIs("candidateCount") || walker.keyIs("candidate_count")) this.take(RequestField.Choices);
      else if (walker.keyIs("temperature")) this.take(RequestField.Temperature);
    }
  }

  /** A member of the body begins. */
  private member(): void {
    const walker = this.walker;
    this.hasMembers = true;
    if (this.isMessages()) this.beginMessages();
    else if (this.isSystem()) this.beginSystem();
    else if (walker.keyIs("model")) this.take(RequestField.Model);
    else if (walker.keyIs("stream")) this.take(RequestField.Stream);
    else if (walker.keyIs("user")) this.take(RequestField.User);
    else if (walker.keyIs("safety_identifier")) this.take(RequestField.SafetyIdentifier);
    else if (walker.keyIs("prompt_cache_key")) this.take(RequestField.PromptCacheKey);
    else if (walker.keyIs("session_id")) this.take(RequestField.SessionId);
    else if (walker.keyIs("tools")) {
      this.tools = 0;
      this.list(RequestField.Tools);
    } else if (walker.keyIs("functions")) {
      this.functions = 0;
      this.list(RequestField.Functions);
    } else if (walker.keyIs("metadata")) {
      this.forget(RequestField.MetadataUser);
      this.object(METADATA);
    } else if (walker.keyIs("stream_options")) {
      this.forget(RequestField.IncludeUsage);
      this.beginStreamOptions();
    } else if (this.api == Api.GeminiGenerate) {
      if (walker.keyIs("generationConfig") || walker.keyIs("generation_config")) {
        this.forget(RequestField.MaxOutputTokens);
        this.forget(RequestField.Choices);
        this.forget(RequestField.Temperature);
        this.object(GENERATION_CONFIG);
      }
    } else if (walker.keyIs("max_tokens")) this.take(RequestField.MaxTokens);
    else if (walker.keyIs("max_completion_tokens")) this.take(RequestField.MaxCompletionTokens);
    else if (walker.keyIs("max_output_tokens")) this.take(RequestField.MaxOutputTokens);
    else if (walker.keyIs("n")) this.take(RequestField.Choices);
    else if (walker.keyIs("temperature")) this.take(RequestField.Temperature);
    else if (walker.kind != JsonKind.Literal && this.isLive()) this.live = true;
  }

  private isLive(): bool {
    const walker = this.walker;
    if (this.api == Api.Responses) return walker.keyIs("conversation");
    if (this.api == Api.ChatCompletions) return walker.keyIs("web_search_options");
    return this.api == Api.AnthropicMessages && (walker.keyIs("container") || walker.keyIs("mcp_servers"));
  }

  private isMessages(): bool {
    switch (this.api) {
      case Api.Completions:
        return this.walker.keyIs("prompt");
      case Api.Responses:
      case Api.Embeddings:
        return this.walker.keyIs("input");
      case Api.GeminiGenerate:
        return this.walker.keyIs("contents");
      default:
        return this.walker.keyIs("messages");
    }
  }

  private isSystem(): bool {
    switch (this.api) {
      case Api.Responses:
        return this.walker.keyIs("instructions");
      case Api.AnthropicMessages:
        return this.walker.keyIs("system");
      case Api.GeminiGenerate:
        return this.walker.keyIs("systemInstruction") || this.walker.keyIs("system_instruction");
      default:
        return false;
    }
  }

  private beginMessages(): void {
    this.content.beginMessages();
    this.tokens = false;
    this.list(RequestField.Messages);
  }

  private beginSystem(): void {
    this.forget(RequestField.System);
    this.content.beginSystem();
    this.walker.enter(RequestField.System);
  }

  /** An element of the messages begins. */
  private message(): void {
    const kind = this.walker.kind;
    if (kind == JsonKind.Number) this.tokens = true;
    else this.content.beginMessage();
  }

  /** A scalar field: its value is copied. */
  private take(index: RequestField): void {
    this.forget(index);
    const kind = this.walker.kind;
    if (kind == JsonKind.Object || kind == JsonKind.Array) this.walker.skip(index);
    else this.walker.capture(index, unchecked(this.fields[index]).value, MAX_VALUE);
  }

  /** A list field: its elements are counted. */
  private list(index: RequestField): void {
    this.forget(index);
    if (this.walker.kind == JsonKind.Object) this.walker.skip(index);
    else this.walker.enter(index);
  }

  private beginStreamOptions(): void {
    const walker = this.walker;
    this.streamOptionsEmpty = walker.kind == JsonKind.Object;
    if (walker.kind == JsonKind.Object) walker.enter(STREAM_OPTIONS);
    else if (walker.kind == JsonKind.Array) walker.skip(STREAM_OPTIONS);
    else walker.capture(STREAM_OPTIONS, this.streamOptions.value, MAX_VALUE);
  }

  private object(tag: i32): void {
    if (this.walker.kind == JsonKind.Object) this.walker.enter(tag);
  }

  /** A later value, or a later object around it, replaces this one. `count` stays. */
  private forget(index: RequestField): void {
    const field = unchecked(this.fields[index]);
    field.kind = JsonKind.Absent;
    field.length = 0;
    field.truncated = false;
    field.malformed = false;
  }

  private end(): void {
    const walker = this.walker;
    const tag = walker.tag;
    if (tag >= FIRST_CONTENT_TAG) this.content.end();
    else if (tag == STREAM_OPTIONS) this.close(this.streamOptions);
    else if (tag < FIELDS) {
      const field = unchecked(this.fields[tag]);
      if (tag < RequestField.Tools) this.close(field);
      else this.place(field);
      if (tag >= RequestField.Tools && tag <= RequestField.Functions && this.content.records) this.recordTools(tag);
      if (tag == RequestField.Messages) this.content.endMessages(this.tokens);
      else if (tag == RequestField.System) this.content.endSystem();
    }
  }

  private recordTools(tag: i32): void {
    const walker = this.walker;
    if (tag == RequestField.Tools) this.prompt.setTools(walker.kind, this.tools, walker.start, walker.end);
    else this.prompt.setFunctions(walker.kind, this.functions, walker.start, walker.end);
  }

  /** The value that is over is this field's. */
  private place(field: JsonField): void {
    const walker = this.walker;
    field.kind = walker.kind;
    field.start = walker.start;
    field.end = walker.end;
    field.count++;
  }

  /** The same for one whose value was captured if it is a scalar. */
  private close(field: JsonField): void {
    const walker = this.walker;
    this.place(field);
    const scalar = walker.kind != JsonKind.Object && walker.kind != JsonKind.Array;
    field.length = scalar ? walker.text.length : 0;
    field.truncated = scalar && walker.text.truncated;
    field.malformed = scalar && walker.text.malformed;
  }
}

function literal(field: JsonField, word: string): bool {
  return !field.truncated && field.length == word.length && sameText(word, field.value);
}
