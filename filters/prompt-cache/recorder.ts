/**
 * Keeps an answer while it passes to its client, and judges whether it is one that may be given again: a wrong one would be given again and again.
 */
import { AnswerCheck, answerChecks, AnswerForm, AnswerVerdict } from "../lib/answer-check";
import { Recording, recordings, SegmentPool } from "../lib/answer-segments";
import { Api } from "../lib/llm-api";
import { AnswerTap } from "../pipeline/answer-tap";
import { Bytes, ByteWriter, time } from "../sdk";
import { CacheState } from "./cache-state";
import { PaceRecorder } from "./pace-recorder";

/** Longer content types are none. */
const MOST_TYPE: i32 = 128;
const MS: u64 = 1_000_000;

export interface RecorderOwner {
  /** The answer of the request will not be one to be kept, whatever else comes. */
  gaveUp(state: CacheState, recorder: Recorder): void;

  /** More of an answer that others may read along, as in `AnswerTap.pass`. */
  passed(state: CacheState, recorder: Recorder, bytes: Bytes, safe: i32): void;

  /** As `AnswerTap.cut`. The recorder may be released. */
  cut(state: CacheState, recorder: Recorder, ending: Bytes): void;
}

@final
export class Recorder extends AnswerTap {
  /** It came in pieces. */
  stream: bool = false;
  /** It is larger than an entry may be, or there is no memory to keep it. */
  dropped: bool = false;
  /** Others may read it along. */
  shared: bool = false;
  /** Of what others may read along: the last bytes, that may not be the client's yet. In `passed` those before its own, and then `held` counts both. */
  readonly tail: ByteWriter = new ByteWriter();
  held: i32 = 0;
  readonly contentType: Bytes = new Bytes();
  /** When its pieces came, where somebody wants to know. */
  readonly pace: PaceRecorder = new PaceRecorder();

  private readonly type: StaticArray<u8> = new StaticArray<u8>(MOST_TYPE);
  private owner: RecorderOwner | null = null;
  private state: CacheState | null = null;
  private recording: Recording | null = null;
  private check: AnswerCheck | null = null;
  private isPaced: bool = false;

  /** Whom to tell. */
  belong(owner: RecorderOwner, state: CacheState): void {
    this.owner = owner;
    this.state = state;
  }

  /** False when such an answer is never kept. `most`: bytes. */
  begin(pool: SegmentPool, most: i32, api: Api, form: AnswerForm, contentType: Bytes): bool {
    this.release();
    this.dropped = false;
    this.shared = false;
    this.held = 0;
    if (contentType.len > MOST_TYPE) return false;
    const check = answerChecks.take();
    if (!check.begin(api, form)) {
      answerChecks.release(check);
      return false;
    }
    this.check = check;
    this.recording = recordings.take(pool, most);
    this.stream = form != AnswerForm.Document;
    const type = changetype<usize>(this.type);
    memory.copy(type, contentType.ptr, contentType.len);
    this.contentType.set(type, contentType.len);
    return true;
  }

  /** Records when its pieces come, if there is memory for that. */
  recordPace(pool: SegmentPool): void {
    this.isPaced = this.pace.begin(pool);
  }

  pass(bytes: Bytes, safe: i32): void {
    this.keep(bytes);
    const owner = this.owner;
    const state = this.state;
    if (!this.shared || owner === null || state === null) return;
    const tail = this.tail;
    this.held = safe < 0 ? tail.len + bytes.len : bytes.len - safe;
    owner.passed(state, this, bytes, safe);
    if (safe >= 0) tail.reset();
    const from = max(safe, 0);
    if (from < bytes.len) tail.raw(bytes.ptr + <usize>from, bytes.len - from);
  }

  cut(ending: Bytes): void {
    const owner = this.owner;
    const state = this.state;
    if (owner !== null && state !== null) owner.cut(state, this, ending);
  }

  private keep(bytes: Bytes): void {
    const check = this.check;
    const recording = this.recording;
    if (check === null || recording === null) return;
    check.feed(bytes.ptr, bytes.len);
    if (!check.hopeless) {
      this.dropped = !recording.append(bytes.ptr, bytes.len);
      if (!this.dropped) {
        if (this.isPaced && bytes.len > 0) this.pace.note(<i64>(time.now() / MS), recording.length);
        return;
      }
    }
    recordings.release(recording);
    this.recording = null;
    const owner = this.owner;
    const state = this.state;
    if (owner !== null && state !== null) owner.gaveUp(state, this);
  }

  /** Of what has passed. */
  end(): AnswerVerdict {
    const check = this.check;
    return check === null ? AnswerVerdict.Unknown : check.end();
  }

  /** What has passed; null when it is of no use. */
  get kept(): Recording | null {
    return this.recording;
  }

  /** Gives memory back. */
  release(): void {
    const check = this.check;
    const recording = this.recording;
    if (check !== null) answerChecks.release(check);
    if (recording !== null) recordings.release(recording);
    this.check = null;
    this.recording = null;
    this.tail.reset();
    this.isPaced = false;
    this.pace.release();
  }
}

const free: Recorder[] = [];

/** Pooled and never freed: as many as answers were ever recorded at once. */
export namespace recorders {
  export function take(): Recorder {
    return free.length > 0 ? free.pop() : new Recorder();
  }

  export function release(recorder: Recorder): void {
    recorder.release();
    free.push(recorder);
  }
}
