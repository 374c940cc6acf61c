/**
 * The hashes by which a prompt's beginning is known: two requests that an engine would give the same tokens have the same ones, whatever their spelling.
 *
 *   seed                        salt, then model
 *   FF 04, FF 05                tools, functions: canonical JSON
 *   FF 40 + role                a message; the role's name when it has no number. The system prompt is the first one
 *     FF 03, hash of its name   a member: canonical JSON
 *     FF 01                     text; a string, and a part that is nothing else
 *     FF 02                     any other content
 *     FF 06                     a part with members, which follow, and FF 07 its text
 *
 * FF is in no UTF-8, so no text can pass for a boundary; nothing has its length in front or an end behind, so a longer text shares the blocks of a shorter one.
 * The body is read where it lies, in pieces when it is not all there: `start` and `feed` say which byte they want.
 */
import { BlockHashes } from "./block-hashes";
import { CanonicalJson } from "./canonical-json";
import { PieceKind, PromptPieces } from "./prompt-pieces";
import { PromptSpans } from "./prompt-spans";
import { xxhash64 } from "./xxhash64";

export { MAX_PREFIX_BLOCKS, PREFIX_BLOCK } from "./block-hashes";

const enum Mark {
  Text = 1,
  Raw = 2,
  Member = 3,
  Tools = 4,
  Functions = 5,
  Part = 6,
  PartText = 7,
  Message = 0x40,
}

const enum Phase {
  Tools,
  Functions,
  System,
  Messages,
}

/** Other seeds than those of the blocks. */
const SALT_SEED: u64 = 0x70726f6d7074;

@final
export class PrefixChain {
  private readonly stage: BlockHashes = new BlockHashes();
  private readonly json: CanonicalJson = new CanonicalJson(this.stage);
  private spans: PromptSpans | null = null;
  private phase: Phase = Phase.Tools;
  private piece: u32 = 0;
  /** Members of the piece that are still to come, and the text behind them. */
  private list: PromptPieces | null = null;
  private member: u32 = 0;
  private memberEnd: u32 = 0;
  private textStart: u32 = 0;
  private textEnd: u32 = 0;
  /** What is being written: [at, stop) of the body. */
  private at: u32 = 0;
  private stop: u32 = 0;

  /** Complete blocks of `PREFIX_BLOCK` canonical bytes; at most `MAX_PREFIX_BLOCKS`. */
  get blocks(): i32 {
    return this.stage.blocks;
  }

  /** Address of their hashes, u64 each: each is one of all text up to the end of its block. Until the next `begin`. */
  get chain(): usize {
    return this.stage.hashes;
  }

  /** Canonical bytes, those behind the last complete block too, but none behind the most that counts. */
  get bytes(): u32 {
    return <u32>(this.stage.blocks << 8) + <u32>this.stage.tailBytes;
  }

  /** Hash at the end of block `prefixBlocks`, or of the last one; of all there is when there is no complete block. */
  key(prefixBlocks: i32): u64 {
    const blocks = min(prefixBlocks, this.stage.blocks);
    return blocks > 0 ? load<u64>(this.stage.hashes + (<usize>(blocks - 1) << 3)) : this.stage.tail;
  }

  /** A new chain. Requests with another salt or another model share nothing. */
  begin(salt: usize, saltLength: i32, model: usize, modelLength: i32): void {
    this.stage.begin(xxhash64(model, modelLength, xxhash64(salt, saltLength, SALT_SEED)));
    this.spans = null;
  }

  /** The chain of a body that is all there. Returns `blocks`. O(prompt), no allocation. */
  hash(spans: PromptSpans, body: usize, length: i32): i32 {
    if (this.start(spans) >= 0) this.feed(body, 0, length);
    // Spans that reach beyond the body are not its own.
    if (this.spans !== null) this.finish();
    return this.blocks;
  }

  /** Offset of the first byte that is wanted, or -1 when there is none. */
  start(spans: PromptSpans): i32 {
    this.spans = spans;
    this.phase = Phase.Tools;
    this.list = null;
    this.member = 0;
    this.memberEnd = 0;
    this.textEnd = 0;
    this.at = 0;
    this.stop = 0;
    return this.goOn();
  }

  /**
   * Takes bytes [offset, offset + length) of the body. Returns the offset that is wanted next, -1 when the chain is complete. The bytes must begin with
   * what was wanted, and be 16 or go on to the end of the body.
   */
  feed(window: usize, offset: i32, length: i32): i32 {
    if (this.spans === null) return -1;
    const from = <u32>offset;
    const to = from + <u32>length;
    while (this.at >= from && this.at < to) {
      const before = this.at;
      const limit = min(this.stop, to);
      const base = window - <usize>from;
      this.at = <u32>(this.json.write(base + <usize>before, base + <usize>limit, base + <usize>to, this.stop <= to) - base);
      if (this.stage.full) return this.finish();
      if (this.at == this.stop) {
        if (this.goOn() < 0) return -1;
      } else if (this.at < limit) {
        // An escape is cut. At the beginning of a window that never happens.
        return this.at == from ? this.finish() : <i32>this.at;
      }
    }
    return <i32>this.at;
  }

  /** To the next bytes of the body. Returns their offset, or finishes. */
  private goOn(): i32 {
    while (!this.stage.full) {
      if (this.stage.out > this.stage.high) this.stage.flush();
      else if (!this.next()) break;
      else if (this.at < this.stop) return <i32>this.at;
    }
    return this.finish();
  }

  private finish(): i32 {
    this.stage.finish();
    this.spans = null;
    return -1;
  }

  /** Marks what comes next and sets [at, stop), empty for something without bytes. False at the end. */
  private next(): bool {
    const spans = this.spans!;
    if (this.member < this.memberEnd) {
      const record = this.list!.member(this.member++);
      this.mark(Mark.Member);
      store<u64>(this.stage.out, load<u64>(record));
      this.stage.out += sizeof<u64>();
      return this.value(load<u32>(record, 8), load<u32>(record, 12));
    }
    if (this.textEnd != 0) {
      const end = this.textEnd;
      this.textEnd = 0;
      this.mark(Mark.PartText);
      return this.text(this.textStart, end);
    }
    switch (this.phase) {
      case Phase.Tools: {
        this.phase = Phase.Functions;
        if (spans.toolsEnd > 0) this.mark(Mark.Tools);
        return this.value(spans.toolsStart, spans.toolsEnd);
      }
      case Phase.Functions: {
        this.beginList(Phase.System, spans.system);
        if (spans.functionsEnd > 0) this.mark(Mark.Functions);
        return this.value(spans.functionsStart, spans.functionsEnd);
      }
      default:
        return this.nextPiece(spans);
    }
  }

  private beginList(phase: Phase, list: PromptPieces): void {
    this.phase = phase;
    this.list = list;
    this.piece = 0;
  }

  private nextPiece(spans: PromptSpans): bool {
    let list = this.list!;
    if (this.piece == list.count) {
      if (this.phase == Phase.Messages || list.stopped) return false;
      list = spans.messages;
      this.beginList(Phase.Messages, list);
      if (list.count == 0) return false;
    }
    const record = list.piece(this.piece++);
    const start = load<u32>(record);
    const end = load<u32>(record, 4);
    const kind = <PieceKind>load<u8>(record, 12);
    this.member = load<u32>(record, 8);
    this.memberEnd = this.member + load<u16>(record, 14);
    if (kind == PieceKind.Text) {
      this.mark(Mark.Text);
      return this.text(start, end);
    }
    if (kind == PieceKind.Raw) {
      this.mark(Mark.Raw);
      return this.value(start, end);
    }
    if (kind == PieceKind.Message) {
      this.mark(Mark.Message + load<u8>(record, 13));
      return this.text(start, end);
    }
    this.mark(Mark.Part);
    if (kind == PieceKind.PartText) {
      this.textStart = start;
      this.textEnd = end;
    }
    return this.value(0, 0);
  }

  private mark(mark: i32): void {
    store<u8>(this.stage.out, 0xff);
    store<u8>(this.stage.out, <u8>mark, 1);
    this.stage.out += 2;
  }

  private value(start: u32, end: u32): bool {
    this.json.beginValue();
    this.at = start;
    this.stop = end;
    return true;
  }

  /** A string token: what is between its quotes. */
  private text(start: u32, end: u32): bool {
    this.json.beginText();
    this.at = end > start ? start + 1 : 0;
    this.stop = end > start ? end - 1 : 0;
    return true;
  }
}
