/** The conditions of a rule. Cheap ones are asked first; the first that fails ends it. */
import { Pattern } from "../../lib/pattern";
import { estimateTokens } from "../../lib/token-estimate";
import { Exchange } from "../exchange";
import { Bytes } from "../../sdk";
import { findSession } from "./session";
import { userTextMatches } from "./user-text";

/** A condition that may be true, false, or not asked. */
export const enum Wanted {
  Any = 0,
  False = 1,
  True = 2,
}

export const enum HeaderTest {
  Exact,
  Prefix,
  Present,
  Missing,
}

@final
export class HeaderMatch {
  constructor(
    /** Index among the captured headers. */
    readonly index: i32,
    readonly test: HeaderTest,
    readonly value: Bytes,
  ) {}

  holds(exchange: Exchange): bool {
    if (this.test == HeaderTest.Missing) return !exchange.headers.has(this.index);
    if (!exchange.headers.has(this.index)) return false;
    if (this.test == HeaderTest.Present) return true;
    exchange.headers.read(this.index, text);
    return this.test == HeaderTest.Exact ? text.equals(this.value) : text.startsWith(this.value);
  }
}

/** Model pattern: exact, or a prefix when it ended in `*`. */
@final
export class NameMatch {
  constructor(
    readonly text: Bytes,
    readonly prefix: bool,
  ) {}

  holds(name: Bytes): bool {
    return this.prefix ? name.startsWith(this.text) : name.equals(this.text);
  }
}

const text = new Bytes();
const rest = new Bytes();
const path = new Bytes();

@final
export class Match {
  /** Bit per `Api`; 0 asks nothing. */
  apis: u32 = 0;
  readonly models: NameMatch[] = [];
  /** Empty asks nothing. */
  provider: Bytes = new Bytes();
  readonly paths: Bytes[] = [];
  readonly headers: HeaderMatch[] = [];
  readonly tenants: Bytes[] = [];
  /** Captured header that carries the tenant. */
  tenantHeader: i32 = -1;
  atLeast: i64 = 0;
  /** 0 asks nothing. */
  below: i64 = 0;
  tokensPerByte: f64 = 0;
  stream: Wanted = Wanted.Any;
  tools: Wanted = Wanted.Any;
  images: Wanted = Wanted.Any;
  session: Wanted = Wanted.Any;
  lastUserMessage: Pattern | null = null;

  /** Whether a condition needs more of the body than the model. */
  get needsChat(): bool {
    return (
      this.atLeast > 0 ||
      this.below > 0 ||
      this.stream != Wanted.Any ||
      this.tools != Wanted.Any ||
      this.images != Wanted.Any ||
      this.session != Wanted.Any ||
      this.lastUserMessage !== null
    );
  }

  /** O(conditions); with `lastUserMessage` O(text of that message). */
  holds(exchange: Exchange): bool {
    if (this.apis != 0 && (this.apis & (1 << (<u32>exchange.api))) == 0) return false;
    return (
      this.modelHolds(exchange.model) &&
      this.pathHolds(exchange) &&
      this.headersHold(exchange) &&
      this.tenantHolds(exchange) &&
      (!this.needsChat || this.chatHolds(exchange))
    );
  }

  private modelHolds(model: Bytes): bool {
    let name = model;
    if (this.provider.len > 0) {
      if (!splitProvider(model, this.provider, rest)) return false;
      name = rest;
    }
    if (this.models.length == 0) return true;
    for (let i = 0; i < this.models.length; i++) if (unchecked(this.models[i]).holds(name)) return true;
    return false;
  }

  private pathHolds(exchange: Exchange): bool {
    if (this.paths.length == 0) return true;
    path.set(exchange.path.view().ptr, exchange.pathEnd);
    for (let i = 0; i < this.paths.length; i++) if (path.startsWith(unchecked(this.paths[i]))) return true;
    return false;
  }

  private headersHold(exchange: Exchange): bool {
    for (let i = 0; i < this.headers.length; i++) if (!unchecked(this.headers[i]).holds(exchange)) return false;
    return true;
  }

  private tenantHolds(exchange: Exchange): bool {
    if (this.tenants.length == 0) return true;
    exchange.headers.read(this.tenantHeader, text);
    for (let i = 0; i < this.tenants.length; i++) if (text.equals(unchecked(this.tenants[i]))) return true;
    return false;
  }

  private chatHolds(exchange: Exchange): bool {
    const chat = exchange.chat;
    if (!agrees(this.stream, exchange.streaming)) return false;
    if (!agrees(this.tools, chat !== null && chat.hasTools)) return false;
    if (!agrees(this.images, chat !== null && chat.images > 0)) return false;
    if (this.session != Wanted.Any && !agrees(this.session, findSession(exchange, text))) return false;
    if (this.atLeast > 0 || this.below > 0) {
      const tokens = chat === null ? 0 : estimateTokens(chat.promptBytes, this.tokensPerByte);
      if (tokens < this.atLeast || (this.below > 0 && tokens >= this.below)) return false;
    }
    const pattern = this.lastUserMessage;
    return pattern === null || (chat !== null && userTextMatches(exchange, chat, pattern));
  }
}

function agrees(wanted: Wanted, value: bool): bool {
  return wanted == Wanted.Any || value == (wanted == Wanted.True);
}

/** `provider/rest`: shows what follows the slash in `into`. */
export function splitProvider(model: Bytes, provider: Bytes, into: Bytes): bool {
  const slash = provider.len;
  if (model.len <= slash + 1 || model.at(slash) != 0x2f || !model.startsWith(provider)) return false;
  into.set(model.ptr + <usize>slash + 1, model.len - slash - 1);
  return true;
}
