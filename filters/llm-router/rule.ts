/** A rule: when it holds, where the request goes then, and where it goes when that fails. Made from the configuration, never changed. */
import { Exchange } from "../pipeline/exchange";
import { Bytes } from "../sdk";
import { Match, splitProvider } from "../pipeline/match/match";
import { findSession } from "../pipeline/match/session";
import { Split } from "./split";
import { Target } from "./target";

export const enum Sticky {
  No,
  Session,
  /** By the captured header `Rule.stickyHeader`. */
  Header,
}

/** What is tried when the chosen target fails before its first byte. */
@final
export class Fallback {
  readonly targets: Target[] = [];
  /** Values of Envoy's retry headers. */
  statuses: Bytes = new Bytes();
  attempts: Bytes = new Bytes();
  /** Milliseconds, 0 for none, and the same as a header value. */
  firstByteTimeout: i32 = 0;
  firstByteHeader: Bytes = new Bytes();
  /** One of the targets has a credential. */
  hasCredential: bool = false;
}

@final
export class Rule {
  readonly targets: Target[] = [];
  readonly split: Split = new Split();
  sticky: Sticky = Sticky.No;
  stickyHeader: i32 = -1;
  fallback: Fallback | null = null;
  /** By target: value of the route or cluster header, the pool's with a fallback. */
  readonly values: Bytes[] = [];

  constructor(
    readonly name: Bytes,
    readonly match: Match,
  ) {}

  get needsChat(): bool {
    return this.match.needsChat || this.sticky == Sticky.Session;
  }

  /** Index of the target for this request. Without a key to stick to it is chosen at random. */
  choose(exchange: Exchange): i32 {
    let found = false;
    if (this.sticky == Sticky.Session) {
      found = findSession(exchange, key);
    } else if (this.sticky == Sticky.Header) {
      exchange.headers.read(this.stickyHeader, key);
      found = key.len > 0;
    }
    return found ? this.split.byKey(key) : this.split.atRandom();
  }

  /** The model name upstream gets unless its target says otherwise: without the provider that this rule asks for. */
  defaultModel(model: Bytes, into: Bytes): Bytes {
    const provider = this.match.provider;
    if (provider.len == 0 || !splitProvider(model, provider, into)) into.set(model.ptr, model.len);
    return into;
  }
}

const key = new Bytes();
