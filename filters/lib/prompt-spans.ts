/**
 * Where the prompt lies in a request: tools, system prompt and messages, whatever order they come in. `ContentReader` records it, `PrefixChain` hashes it.
 *
 * Recorded is what can stand in a template: the role, the content, and every other member of a message or part but those that are known to be none of the prompt's
 * (`cache_control`, which clients move from message to message; `id` and `status` of a message). Null is absent, and of duplicate keys the last one counts.
 */
import { PieceKind, PromptMembers, PromptPieces } from "./prompt-pieces";
import { JsonKind } from "./json-scanner";
import { Role } from "./message-role";
import { xxhash64 } from "./xxhash64";

const CACHE_CONTROL: u64 = nameOf("cache_control");
const ID: u64 = nameOf("id");
const STATUS: u64 = nameOf("status");
const TEXT: u64 = nameOf("text");
const TYPE: u64 = nameOf("type");
/** Of a tool result inside a part. */
export const CONTENT: u64 = nameOf("content");

@final
export class PromptSpans {
  /** Raw values, empty when there is none: [start, end). */
  toolsStart: u32 = 0;
  toolsEnd: u32 = 0;
  functionsStart: u32 = 0;
  functionsEnd: u32 = 0;
  readonly system: PromptPieces = new PromptPieces();
  readonly messages: PromptPieces = new PromptPieces();

  /** Name of the member whose end is waited for, hashed. */
  name: u64 = 0;

  /** Of the two lists, the one that is being recorded. */
  private list: PromptPieces = this.messages;
  /** Piece with which the open message begins, and what was recorded before its content. */
  private message: u32 = 0;
  private membersBefore: u32 = 0;
  private roleStart: u32 = 0;
  private roleEnd: u32 = 0;
  private readonly messageMembers: PromptMembers = new PromptMembers();
  private readonly partMembers: PromptMembers = new PromptMembers();
  /** The type of the open part, if it has one, says nothing but that it is text. */
  private plainType: bool = false;

  clear(): void {
    this.toolsStart = 0;
    this.toolsEnd = 0;
    this.functionsStart = 0;
    this.functionsEnd = 0;
    this.system.clear();
    this.messages.clear();
  }

  setTools(kind: JsonKind, count: u32, start: u32, end: u32): void {
    const some = isSome(kind, count);
    this.toolsStart = some ? start : 0;
    this.toolsEnd = some ? end : 0;
  }

  setFunctions(kind: JsonKind, count: u32, start: u32, end: u32): void {
    const some = isSome(kind, count);
    this.functionsStart = some ? start : 0;
    this.functionsEnd = some ? end : 0;
  }

  beginMessages(): void {
    this.list = this.messages;
    this.messages.clear();
  }

  /** The system prompt begins: a message of that role, unless it is null or a number. */
  beginSystem(kind: JsonKind): void {
    this.list = this.system;
    this.system.clear();
    if (kind == JsonKind.Literal || kind == JsonKind.Number) return;
    this.beginMessage();
    this.endMessage(Role.System);
  }

  beginMessage(): void {
    this.message = this.list.count;
    this.membersBefore = this.list.memberCount;
    this.messageMembers.clear();
    this.list.add(PieceKind.Message, 0, 0);
  }

  endMessage(role: Role): void {
    const named = role == Role.Other;
    this.list.complete(
      this.message,
      PieceKind.Message,
      role,
      named ? this.roleStart : 0,
      named ? this.roleEnd : 0,
      this.messageMembers,
    );
  }

  /** String token of the open message's role; empty when it is no string. */
  setRole(start: u32, end: u32): void {
    this.roleStart = start;
    this.roleEnd = end;
  }

  /** The content of the open message begins, in place of one before. */
  beginContent(): void {
    this.list.truncate(this.message + 1, this.membersBefore);
  }

  /** String token [start, end): content, or an element of it. */
  text(start: u32, end: u32): void {
    this.list.add(PieceKind.Text, start, end);
  }

  /** Any other value. */
  raw(start: u32, end: u32): void {
    this.list.add(PieceKind.Raw, start, end);
  }

  /** A message that is one string or list of tokens. */
  prompt(role: Role, kind: JsonKind, start: u32, end: u32): void {
    this.beginMessage();
    if (kind == JsonKind.String) this.text(start, end);
    else this.raw(start, end);
    this.endMessage(role);
  }

  /** The open message has this member, besides role and content. */
  setMember(isNull: bool, start: u32, end: u32): void {
    const name = this.name;
    if (name == CACHE_CONTROL || name == ID || name == STATUS) return;
    if (isNull) this.messageMembers.remove(name);
    else this.messageMembers.set(name, start, end);
  }

  beginPart(): void {
    this.partMembers.clear();
  }

  /** The open part has this member. */
  setPartMember(name: u64, isNull: bool, start: u32, end: u32): void {
    if (name == CACHE_CONTROL) return;
    if (name == TYPE) this.plainType = false;
    if (isNull) this.partMembers.remove(name);
    else this.partMembers.set(name, start, end);
  }

  /** Its type is a string. */
  setPartType(plain: bool, start: u32, end: u32): void {
    this.partMembers.set(TYPE, start, end);
    this.plainType = plain;
  }

  /** String token [start, end) of its text, if it has any. */
  endPart(hasText: bool, start: u32, end: u32): void {
    const members = this.partMembers;
    // One that was no string came before it.
    if (hasText) members.remove(TEXT);
    if (hasText && this.plainType) members.remove(TYPE);
    const index = this.list.count;
    const kind = !hasText ? PieceKind.Part : members.count > 0 || members.tooMany ? PieceKind.PartText : PieceKind.Text;
    this.list.add(kind, hasText ? start : 0, hasText ? end : 0);
    if (kind != PieceKind.Text) this.list.complete(index, kind, Role.Absent, hasText ? start : 0, hasText ? end : 0, members);
  }
}

/** Hash of a member's name, `length` bytes at `at`. */
export function nameHash(at: usize, length: i32): u64 {
  return xxhash64(at, length, 0);
}

function nameOf(name: string): u64 {
  const bytes = String.UTF8.encode(name);
  return nameHash(changetype<usize>(bytes), bytes.byteLength);
}

/** Null, and a list without entries, is no tool. */
function isSome(kind: JsonKind, count: u32): bool {
  return kind == JsonKind.Array ? count > 0 : kind != JsonKind.Literal;
}
