/** A rule: which requests may be answered from the cache, which of them share answers, and for how long. Made from the configuration, never changed. */
import { KeyPart } from "../pipeline/caller-key/key-part";
import { Match } from "../pipeline/match/match";
import { PriceList } from "../pipeline/rates/price-list";
import { Bytes, ByteWriter } from "../sdk";

/** What becomes of a request that lacks a part of the key. In the order in which the configuration names them, as those below. */
export const enum MissingKey {
  /** It goes past the cache. */
  Bypass = 0,
  /** All that lack the same parts share answers. */
  Shared = 1,
}

/** Requests of which temperature may be answered from the cache. */
export const enum Temperature {
  /** Those that say 0. */
  Zero = 0,
  /** Those that say 0, or nothing. */
  Unset = 1,
  Any = 2,
}

export const DEFAULT_TTL_MS: i64 = 3_600_000;
export const DEFAULT_WAIT_MS: i32 = 60_000;
export const DEFAULT_GAP_MS: i32 = 5_000;

@final
export class CacheRule {
  /** Empty: every request shares. */
  key: KeyPart[] = [];
  /** Indices among the captured headers: their values are part of what is asked. */
  readonly headers: i32[] = [];
  missingKey: MissingKey = MissingKey.Bypass;
  /** How long an answer is fresh. */
  ttlMs: i64 = DEFAULT_TTL_MS;
  /** How long behind that it is given while a new one is fetched. */
  staleWhileRevalidateMs: i64 = 0;
  /** How long behind `ttlMs` it is given when the upstream fails. */
  staleIfErrorMs: i64 = 0;
  temperature: Temperature = Temperature.Unset;
  /** Requests with tools, too. */
  tools: bool = false;
  /** Requests for several answers, too. */
  choices: bool = false;
  /** A document answers a request for a stream, and the reverse. */
  transcode: bool = false;
  /** Requests that are equal and run at the same time share one call, and wait for it so long, in ms; 0 when they do not. */
  waitMs: i32 = DEFAULT_WAIT_MS;
  /** They need not wait for the end of a stream: they read along what comes of it. */
  live: bool = false;
  /** `cache-control` of requests is done as it says. */
  clientControl: bool = true;
  /** Answers name their key. */
  showKey: bool = true;
  /** Percent of its tokens that a hit counts. */
  hitTokens: i32 = 0;
  /** Least similarity, in 1/1000, of a question whose answer will do as well; 0: what the service thinks best; negative: only the same question will. */
  similarity: i32 = -1;
  /** Streams are given again as they came: at so many percent of the speed, 0 for at once; and no gap is longer, in ms. */
  speedPercent: i32 = 0;
  maxGapMs: i32 = DEFAULT_GAP_MS;
  /** What hits save in money; null when nobody asked. */
  prices: PriceList | null = null;
  /** What entries of this rule have in common and no other's: the scope, its name, and what tells its requests apart. */
  identity: Bytes = new Bytes();

  constructor(
    readonly name: Bytes,
    readonly match: Match,
  ) {}

  /** Identical requests share one call. */
  get sharesCalls(): bool {
    return this.waitMs > 0;
  }

  get isPaced(): bool {
    return this.speedPercent > 0;
  }

  /** How long an entry may be needed, in ms from its making. */
  get keptMs(): i64 {
    return this.ttlMs + max(this.staleWhileRevalidateMs, this.staleIfErrorMs);
  }

  /**
   * Sets `identity`, behind all that it is made of. Part of every key, so an entry that was made when another key, other headers or other ignored members
   * held is none of this rule; a changed time or condition goes on with what there is. Allocates: for the configuration.
   */
  identify(scope: Bytes, tenantHeader: Bytes, headerNames: Bytes[], ignored: Bytes[]): void {
    const text = new ByteWriter();
    text.bytes(scope).byte(0).bytes(this.name).byte(0);
    for (let i = 0; i < this.key.length; i++) {
      const part = this.key[i];
      text.byte(<u8>part.source).decimal(part.text.len).byte(0).bytes(part.text);
    }
    writeNames(text.byte(0xff), headerNames);
    writeNames(text.byte(0xff), ignored);
    if (tenantHeader.len > 0) text.byte(0xff).bytes(tenantHeader);
    this.identity = text.view().copy();
    text.release();
  }
}

/** Each behind its length: names of members may be any text. */
function writeNames(text: ByteWriter, names: Bytes[]): void {
  for (let i = 0; i < names.length; i++) text.decimal(names[i].len).byte(0).bytes(names[i]);
}
