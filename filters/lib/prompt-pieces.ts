/**
 * What a prompt is made of, as places in the body: messages, their parts, and the members of both that are not text.
 *
 * Records in raw memory, because a conversation can have thousands. The memory grows to what the largest request needed and is kept; beyond the bounds nothing more is
 * recorded, which leaves the prompt's beginning.
 *
 *   piece:   |start u32|end u32|first member u32|kind u8|role u8|members u16|     16 bytes
 *   member:  |hash of its name u64|start u32|end u32|                             16 bytes
 */
import { Role } from "./message-role";

/** Most pieces, and most members, of one list: 256 KiB each. */
const MAX_PIECES: u32 = 16384;
/** Most members of one message or part besides what is known by name. Real ones have up to eight. */
export const MAX_MEMBERS: i32 = 16;

const RECORD: u32 = 16;
const FIRST: u32 = 64;

export const enum PieceKind {
  /** A message begins. Its place is that of a role without a number, else empty. */
  Message = 0,
  /** A string: content, or a part that is nothing but text. */
  Text = 1,
  /** Any other value. */
  Raw = 2,
  /** A part that is known by its members. */
  Part = 3,
  /** The same, and it has text too. */
  PartText = 4,
}

/** Members of the object that is being read, sorted by the hash of their names, so that their order in the object does not matter. */
@final
export class PromptMembers {
  count: i32 = 0;
  /** There were more than `MAX_MEMBERS`. */
  tooMany: bool = false;
  readonly at: usize = heap.alloc(<usize>MAX_MEMBERS * <usize>RECORD);

  clear(): void {
    this.count = 0;
    this.tooMany = false;
  }

  /** A later value replaces an earlier one. O(members). */
  set(name: u64, start: u32, end: u32): void {
    let place = this.at + <usize>this.count * <usize>RECORD;
    while (place > this.at && load<u64>(place - <usize>RECORD) >= name) place -= <usize>RECORD;
    const last = this.at + <usize>this.count * <usize>RECORD;
    if (place == last || load<u64>(place) != name) {
      if (this.count == MAX_MEMBERS) {
        this.tooMany = true;
        return;
      }
      memory.copy(place + <usize>RECORD, place, last - place);
      this.count++;
    }
    store<u64>(place, name);
    store<u32>(place, start, 8);
    store<u32>(place, end, 12);
  }

  remove(name: u64): void {
    const last = this.at + <usize>this.count * <usize>RECORD;
    for (let place = this.at; place < last; place += <usize>RECORD) {
      if (load<u64>(place) != name) continue;
      memory.copy(place, place + <usize>RECORD, last - place - <usize>RECORD);
      this.count--;
      return;
    }
  }
}

@final
export class PromptPieces {
  count: u32 = 0;
  /** Not all was recorded: nothing may follow these pieces. */
  stopped: bool = false;
  memberCount: u32 = 0;

  private pieces: usize = heap.alloc(FIRST * RECORD);
  private pieceRoom: u32 = FIRST;
  private members: usize = heap.alloc(FIRST * RECORD);
  private memberRoom: u32 = FIRST;

  clear(): void {
    this.count = 0;
    this.memberCount = 0;
    this.stopped = false;
  }

  /** Appends a piece without members. Amortised O(1). */
  add(kind: PieceKind, start: u32, end: u32): void {
    if (this.stopped) return;
    if (this.count == this.pieceRoom) {
      if (this.pieceRoom == MAX_PIECES) {
        this.stopped = true;
        return;
      }
      this.pieceRoom <<= 1;
      this.pieces = heap.realloc(this.pieces, this.pieceRoom * RECORD);
    }
    this.count++;
    this.fill(this.count - 1, kind, Role.Absent, start, end);
  }

  /** Says of piece `index` what was not known when it was added; its members are copied. Too many members end the list before it. */
  complete(index: u32, kind: PieceKind, role: Role, start: u32, end: u32, members: PromptMembers): void {
    if (index >= this.count) return;
    if (members.tooMany || !this.roomFor(<u32>members.count)) {
      this.stopAt(index);
      return;
    }
    this.fill(index, kind, role, start, end);
    const record = this.pieces + <usize>(index * RECORD);
    store<u32>(record, this.memberCount, 8);
    store<u16>(record, <u16>members.count, 14);
    memory.copy(this.members + <usize>(this.memberCount * RECORD), members.at, <usize>members.count * <usize>RECORD);
    this.memberCount += <u32>members.count;
  }

  /** Forgets all pieces from `count` on and all members from `memberCount` on: a later value replaces them. */
  truncate(count: u32, memberCount: u32): void {
    if (this.count < count) return;
    this.count = count;
    this.memberCount = memberCount;
    this.stopped = false;
  }

  /** Ends the list before piece `index`. */
  stopAt(index: u32): void {
    if (index < this.count) this.count = index;
    this.stopped = true;
  }

  /** Address of a piece. */
  piece(index: u32): usize {
    return this.pieces + <usize>(index * RECORD);
  }

  /** Address of a member. */
  member(index: u32): usize {
    return this.members + <usize>(index * RECORD);
  }

  private fill(index: u32, kind: PieceKind, role: Role, start: u32, end: u32): void {
    const record = this.pieces + <usize>(index * RECORD);
    store<u32>(record, start);
    store<u32>(record, end, 4);
    store<u8>(record, <u8>kind, 12);
    store<u8>(record, <u8>role, 13);
    store<u16>(record, 0, 14);
  }

  private roomFor(more: u32): bool {
    if (this.memberCount + more <= this.memberRoom) return true;
    if (this.memberRoom == MAX_PIECES) return false;
    this.memberRoom <<= 1;
    this.members = heap.realloc(this.members, this.memberRoom * RECORD);
    return true;
  }
}
