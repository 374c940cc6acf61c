/** One pool of the configuration: who is in it, which requests it serves, how one of its endpoints is picked. Made once, never changed. */
import { Policy, PoolSettings } from "../lib/pick/pool-settings";
import { Exchange } from "../pipeline/exchange";
import { Match } from "../pipeline/match/match";
import { Bytes } from "../sdk";
import { RequestKeyPart } from "./request-key";

const PLUS: u8 = 0x2b;
const value = new Bytes();

/** What the control plane knows of an endpoint; what its answers tell comes on top. */
export const enum Health {
  Healthy = 0,
  Degraded = 1,
  Unhealthy = 2,
}

@final
export class EndpointConfig {
  /** "ip:port" as Envoy writes addresses. */
  address: Bytes = new Bytes();
  weight: u32 = 1;
  /** 0 first. */
  priority: u32 = 0;
  /** "region/zone", or empty. */
  locality: Bytes = new Bytes();
  /** Hashes of names. No models: it serves all. */
  models: u64[] = [];
  adapters: u64[] = [];
  health: Health = Health.Healthy;
  /** It finishes what it has and gets nothing new. */
  draining: bool = false;
}

/** Requests that may be turned away while the pool is saturated. */
@final
export class ShedConfig {
  /** Captured header. */
  header: i32 = -1;
  values: Bytes[] = [];
  /** What counts as full: requests waiting in an engine, permille of its KV cache. */
  waiting: u32 = 5;
  kvPermille: u32 = 800;

  /** The request is one that may be turned away. */
  concerns(exchange: Exchange): bool {
    if (exchange.headers.read(this.header, value).len == 0) return false;
    for (let i = 0; i < this.values.length; i++) if (value.equals(unchecked(this.values[i]))) return true;
    return false;
  }
}

/** Where a request says which endpoints it may go to. */
@final
export class SubsetConfig {
  /** Index of the header among those that are looked for, and its name; -1 for none. */
  header: i32 = -1;
  headerName: Bytes = new Bytes();
  metadata: bool = false;
}

@final
export class PoolConfig {
  name: Bytes = new Bytes();
  /** Of router targets; empty asks nothing. */
  targets: Bytes[] = [];
  match: Match = new Match();
  /** How an endpoint is picked. */
  readonly settings: PoolSettings = new PoolSettings();
  /** Of a consistent hash. */
  key: RequestKeyPart[] = [];
  /** Tokens at the beginning of a prompt that make the key of its prefix. */
  prefixTokens: i32 = 256;
  /** Engines are asked to say in the headers of each answer how busy they are. */
  orca: bool = false;
  /** Requests that find no endpoint are refused; else Envoy's own policy chooses. */
  refuses: bool = false;
  shed: ShedConfig | null = null;
  subset: SubsetConfig | null = null;
  endpoints: EndpointConfig[] = [];
  /** Hash of how it picks: pools of one name and shape know the same. */
  shape: u64 = 0;
  /** The endpoints are known, be they none; else only the prefix is written. */
  picks: bool = false;

  /** Requests that are routed there are the pool's. A fallback's first cluster stands in front of a plus. */
  isTarget(destination: Bytes): bool {
    if (this.targets.length == 0) return true;
    for (let i = 0; i < this.targets.length; i++) {
      const target = unchecked(this.targets[i]);
      if (destination.startsWith(target) && (destination.len == target.len || destination.at(target.len) == PLUS)) return true;
    }
    return false;
  }

  /** The prompt is looked at. */
  get needsPrompt(): bool {
    if (this.settings.policy == Policy.PrefixAffinity || !this.picks) return true;
    for (let i = 0; i < this.key.length; i++) if (this.key[i].isPrefix) return true;
    return false;
  }

  /** More of the body than the model is looked at. */
  get needsChat(): bool {
    if (this.needsPrompt || this.match.needsChat) return true;
    for (let i = 0; i < this.key.length; i++) if (this.key[i].needsChat) return true;
    return false;
  }
}
