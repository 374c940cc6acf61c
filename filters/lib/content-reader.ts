/**
 * The messages of a request: role, place and size of each, images among their parts, the text of the last user message.
 *
 * Part of `ChatRequest`, which hands over every value inside the messages and the system prompt. What counts as text: content that is a string, strings in a list, and
 * `text` of a part, also of the parts inside a tool result. Nothing is added up before its object is over, because a later duplicate key replaces an earlier one.
 */
import { BY_DATA, BY_FILE, BY_TYPE, ContentPart } from "./content-part";
import { sameText } from "./json-capture";
import { JsonKind } from "./json-scanner";
import { JsonWalker } from "./json-walker";
import { Api } from "./llm-api";
import { Role, roleOf } from "./message-role";
import { CONTENT, nameHash, PromptSpans } from "./prompt-spans";
import { SpanList } from "./span-list";

/** Text parts of a message whose spans are kept: this many from the front, and as many from the back. */
const KEPT_TEXTS: u32 = 4;

/** Tags from here on are those of `ContentReader`. */
export const FIRST_CONTENT_TAG: i32 = 32;
const MESSAGE: i32 = FIRST_CONTENT_TAG;
const ROLE: i32 = 33;
/** Content that is a string, and strings in a list of parts. */
const TEXT: i32 = 34;
const PARTS: i32 = 35;
const PART: i32 = 36;
const PART_TEXT: i32 = 37;
const PART_TYPE: i32 = 38;
/** The content of a tool result inside a part. */
const INNER_TEXT: i32 = 39;
const INNER_PARTS: i32 = 40;
const INNER_PART: i32 = 41;
const INNER_PART_TEXT: i32 = 42;
const INNER_PART_TYPE: i32 = 43;
/** A prompt of its own in a list of prompts: a string, or a list of tokens. */
const PROMPT: i32 = 44;
/** What only the record of the prompt wants: other members, elements that are neither text nor part, content that is neither text nor parts. */
const MESSAGE_MEMBER: i32 = 45;
const PART_MEMBER: i32 = 46;
const RAW: i32 = 47;

/** Longer than every role and type that matters. */
const MAX_WORD: i32 = 16;

@final
export class ContentReader {
  /** UTF-8 bytes of text. */
  messageBytes: u32 = 0;
  systemBytes: u32 = 0;
  /** Raw string tokens of the text of the last user message that has any. */
  userText: SpanList = new SpanList(KEPT_TEXTS);
  /** Fill `prompt`. Set before `reset`. */
  records: bool = false;
  readonly prompt: PromptSpans = new PromptSpans();

  private api: Api = Api.ChatCompletions;
  private messageImages: u32 = 0;
  private systemImages: u32 = 0;
  private systemIsList: bool = false;
  /** Of the message or system prompt that is being read. */
  private texts: SpanList = new SpanList(KEPT_TEXTS);
  private role: Role = Role.Absent;
  private bytes: u32 = 0;
  private imageParts: u32 = 0;
  private readonly part: ContentPart = new ContentPart();
  private readonly innerPart: ContentPart = new ContentPart();
  private readonly word: usize = heap.alloc(MAX_WORD);

  constructor(
    private readonly walker: JsonWalker,
    private readonly messages: SpanList,
  ) {}

  reset(api: Api): void {
    this.api = api;
    this.beginMessages();
    this.beginSystem();
    this.systemBytes = 0;
    this.systemImages = 0;
    this.prompt.clear();
  }

  get images(): u32 {
    return this.messageImages + this.systemImages;
  }

  beginMessages(): void {
    this.messages.clear();
    this.userText.clear();
    this.messageBytes = 0;
    this.messageImages = 0;
    if (this.records) this.prompt.beginMessages();
  }

  /** The value of the messages is over; `tokens`: there were numbers in it. */
  endMessages(tokens: bool): void {
    if (tokens && this.records) this.prompt.beginMessages();
    if (tokens || this.walker.kind == JsonKind.String) this.addPrompt();
  }

  beginSystem(): void {
    this.systemBytes = 0;
    this.systemImages = 0;
    this.systemIsList = this.walker.kind == JsonKind.Array;
    this.clearContent();
    if (this.records) this.prompt.beginSystem(this.walker.kind);
  }

  endSystem(): void {
    const walker = this.walker;
    const isText = walker.kind == JsonKind.String;
    this.systemBytes = isText ? walker.textBytes : this.bytes;
    if (isText && this.records) this.prompt.text(walker.start, walker.end);
    this.systemImages = this.imageParts;
  }

  /** An element of the messages begins. */
  beginMessage(): void {
    const walker = this.walker;
    if (walker.kind == JsonKind.Object) {
      this.role = Role.Absent;
      this.clearContent();
      if (this.records) this.prompt.beginMessage();
      walker.enter(MESSAGE);
    } else if (walker.kind != JsonKind.Literal) {
      walker.skip(PROMPT);
    }
  }

  /** A member of the system prompt begins, or an element. */
  beginSystemPart(): void {
    if (this.systemIsList) this.beginPart(PART, TEXT);
    else if (this.walker.keyIs("parts")) this.beginContent();
  }

  /** A value begins inside of something that this class entered. */
  begin(): void {
    const walker = this.walker;
    switch (walker.scope) {
      case MESSAGE: {
        if (walker.keyIs("role")) {
          this.role = walker.kind == JsonKind.String ? Role.Absent : Role.Other;
          if (walker.kind == JsonKind.String) walker.capture(ROLE, this.word, MAX_WORD);
          else this.prompt.setRole(0, 0);
        } else if (this.isContent()) {
          this.beginContent();
        } else if (this.records) {
          this.record(MESSAGE_MEMBER);
        }
        return;
      }
      case PARTS: {
        this.beginPart(PART, TEXT);
        return;
      }
      case INNER_PARTS: {
        this.beginPart(INNER_PART, INNER_TEXT);
        return;
      }
      case PART: {
        if (!walker.keyIs("content")) {
          this.partMember(this.part, PART_TEXT, PART_TYPE);
          return;
        }
        this.part.innerBytes = 0;
        this.part.innerImages = 0;
        if (walker.kind == JsonKind.String) walker.skip(INNER_TEXT);
        else if (walker.kind == JsonKind.Array) walker.enter(INNER_PARTS);
        else if (this.records) this.record(PART_MEMBER);
        return;
      }
      default:
        this.partMember(this.innerPart, INNER_PART_TEXT, INNER_PART_TYPE);
    }
  }

  /** A value is over for which this class had given a tag. */
  end(): void {
    const walker = this.walker;
    switch (walker.tag) {
      case ROLE: {
        this.role = roleOf(this.word, this.walker.text.truncated ? -1 : this.walker.text.length);
        if (this.role == Role.Other) this.prompt.setRole(walker.start, walker.end);
        return;
      }
      case TEXT: {
        this.bytes += walker.textBytes;
        this.texts.add(walker.start, walker.end, Role.Absent, walker.textBytes);
        if (this.records) this.prompt.text(walker.start, walker.end);
        return;
      }
      case INNER_TEXT: {
        this.part.innerBytes += walker.textBytes;
        // Those in a list are replaced when it ends.
        if (this.records) this.prompt.setPartMember(CONTENT, false, walker.start, walker.end);
        return;
      }
      case INNER_PARTS: {
        if (this.records) this.prompt.setPartMember(CONTENT, false, walker.start, walker.end);
        return;
      }
      case MESSAGE_MEMBER: {
        this.prompt.setMember(this.isNull(), walker.start, walker.end);
        return;
      }
      case PART_MEMBER: {
        this.prompt.setPartMember(this.prompt.name, this.isNull(), walker.start, walker.end);
        return;
      }
      case RAW: {
        this.prompt.raw(walker.start, walker.end);
        return;
      }
      case PART_TEXT: {
        this.part.take(walker.start, walker.end, walker.textBytes);
        return;
      }
      case INNER_PART_TEXT: {
        this.innerPart.take(walker.start, walker.end, walker.textBytes);
        return;
      }
      case PART_TYPE: {
        this.part.mark(this.isImage(), BY_TYPE);
        if (this.records) this.prompt.setPartType(this.isText(), walker.start, walker.end);
        return;
      }
      case INNER_PART_TYPE: {
        this.innerPart.mark(this.isImage(), BY_TYPE);
        return;
      }
      case PART: {
        const part = this.part;
        this.bytes += part.bytes + part.innerBytes;
        this.imageParts += part.innerImages + (part.image != 0 ? 1 : 0);
        if (part.hasText) this.texts.add(part.start, part.end, Role.Absent, part.bytes);
        if (this.records) this.prompt.endPart(part.hasText, part.start, part.end);
        return;
      }
      case INNER_PART: {
        this.part.innerBytes += this.innerPart.bytes;
        if (this.innerPart.image != 0) this.part.innerImages++;
        return;
      }
      case PROMPT: {
        this.addPrompt();
        return;
      }
      case MESSAGE:
        this.endMessage();
    }
  }

  private isContent(): bool {
    if (this.api == Api.GeminiGenerate) return this.walker.keyIs("parts");
    return this.walker.keyIs("content") || (this.api == Api.Responses && this.walker.keyIs("output"));
  }

  private clearContent(): void {
    this.bytes = 0;
    this.imageParts = 0;
    this.texts.clear();
  }

  private beginContent(): void {
    const kind = this.walker.kind;
    this.clearContent();
    if (this.records) this.prompt.beginContent();
    if (kind == JsonKind.String) this.walker.skip(TEXT);
    else if (kind == JsonKind.Array) this.walker.enter(PARTS);
    else if (kind != JsonKind.Literal && this.records) this.walker.skip(RAW);
  }

  /** An element of a list of parts begins. */
  private beginPart(object: i32, text: i32): void {
    if (this.walker.kind == JsonKind.Object) {
      if (object == PART) this.part.clear();
      else this.innerPart.clear();
      if (object == PART && this.records) this.prompt.beginPart();
      this.walker.enter(object);
    } else if (this.walker.kind == JsonKind.String) {
      this.walker.skip(text);
    } else if (object == PART && this.records) {
      this.walker.skip(RAW);
    }
  }

  private partMember(part: ContentPart, text: i32, type: i32): void {
    const walker = this.walker;
    const isText = walker.kind == JsonKind.String;
    if (walker.keyIs("text")) {
      part.forgetText();
      if (isText) {
        walker.skip(text);
        return;
      }
    } else if (walker.keyIs("type")) {
      part.mark(false, BY_TYPE);
      if (isText) {
        walker.capture(type, this.word, MAX_WORD);
        return;
      }
    } else if (this.api == Api.GeminiGenerate) {
      if (walker.keyIs("inlineData") || walker.keyIs("inline_data")) part.mark(walker.kind == JsonKind.Object, BY_DATA);
      else if (walker.keyIs("fileData") || walker.keyIs("file_data")) part.mark(walker.kind == JsonKind.Object, BY_FILE);
    }
    if (this.records && part === this.part) this.record(PART_MEMBER);
  }

  /** Asks for the end of a member that only the record of the prompt wants. */
  private record(tag: i32): void {
    const walker = this.walker;
    if (walker.nameLength < 0) return;
    this.prompt.name = nameHash(walker.name, walker.nameLength);
    if (walker.kind == JsonKind.Literal) walker.capture(tag, this.word, MAX_WORD);
    else walker.skip(tag);
  }

  private endMessage(): void {
    const role = this.role;
    this.messages.add(this.walker.start, this.walker.end, role, this.bytes);
    this.messageBytes += this.bytes;
    this.messageImages += this.imageParts;
    // Gemini takes a message without a role for the user's.
    const user = role == Role.User || (role == Role.Absent && this.api == Api.GeminiGenerate);
    if (this.records) this.prompt.endMessage(user ? Role.User : role);
    if (!user || this.texts.count == 0) return;
    const before = this.userText;
    this.userText = this.texts;
    this.texts = before;
  }

  /** A message that is no object is over. */
  private addPrompt(): void {
    const walker = this.walker;
    if (this.records) this.prompt.prompt(this.promptRole(), walker.kind, walker.start, walker.end);
    if (walker.kind != JsonKind.String) {
      this.messages.add(walker.start, walker.end, Role.Absent, 0);
      return;
    }
    this.messages.add(walker.start, walker.end, Role.User, walker.textBytes);
    this.messageBytes += walker.textBytes;
    this.userText.clear();
    this.userText.add(walker.start, walker.end, Role.Absent, walker.textBytes);
  }

  /** No template stands around a prompt of completions or embeddings. A string of the others is what the user says. */
  private promptRole(): Role {
    const bare = this.api == Api.Completions || this.api == Api.Embeddings || this.walker.kind != JsonKind.String;
    return bare ? Role.Absent : Role.User;
  }

  /** The captured scalar is null: no other literal has that beginning. */
  private isNull(): bool {
    return this.walker.kind == JsonKind.Literal && load<u8>(this.word) == 0x6e;
  }

  private isText(): bool {
    return this.wordIs("text") || this.wordIs("input_text") || this.wordIs("output_text");
  }

  private isImage(): bool {
    return this.wordIs("image_url") || this.wordIs("input_image") || this.wordIs("image");
  }

  private wordIs(name: string): bool {
    const text = this.walker.text;
    return !text.truncated && text.length == name.length && sameText(name, this.word);
  }
}
