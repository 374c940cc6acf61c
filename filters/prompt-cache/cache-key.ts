/**
 * The key of a request: 128 bits of SipHash over whose request it is, where it goes and what it asks. Two requests share an answer only if all of that is the same.
 *
 *   rule          its name, the parts of its key, its headers, the ignored members (rule.ts)
 *   form          API, and whether the answer comes in pieces
 *   place         plugin, host, path with its query, where the router sends it and under which model name; without a router Envoy's route
 *   caller        tenant, the values of the rule's key
 *   question      headers that change the answer; the body, whatever its spelling (lib/request-digest.ts)
 *
 * Every text stands behind its length, so no two different lists are the same bytes.
 */
import { SipHash } from "../lib/sip-hash";
import { xxhash64 } from "../lib/xxhash64";
import { writeKey } from "../pipeline/caller-key/caller-key";
import { Exchange } from "../pipeline/exchange";
import { Bytes, ByteWriter, property, Status } from "../sdk";
import { CacheRule, MissingKey } from "./rule";

const ROUTE_NAME = Bytes.literal("xds\0route_name");

const PART: StaticArray<u8> = [0xff];
/** Bytes of a digest, which ends what is hashed. */
const DIGEST: i32 = 16;
const rest = memory.data(16);

const hash = new SipHash();
const text = new ByteWriter();
const value = new Bytes();

/** What `CacheKey.make` found. */
export namespace cacheKey {
  export let low: u64 = 0;
  export let high: u64 = 0;
  /** Set by `part`. */
  export let partLow: u64 = 0;
  export let partHigh: u64 = 0;
  /** xxHash64 of the tenant; 0 for none. */
  export let tenant: u64 = 0;
}

@final
export class CacheKey {
  /** `authority`, `tenant`: indices among the captured headers; -1 for no tenant. `scope`: tells plugins apart. */
  constructor(
    private readonly secretLow: u64,
    private readonly secretHigh: u64,
    private readonly scope: u64,
    private readonly authority: i32,
    private readonly tenant: i32,
  ) {}

  /** Sets `cacheKey`. False when the request lacks a part of the rule's key and may not share without it. While `exchange.digest` is there. O(values). */
  make(exchange: Exchange, rule: CacheRule): bool {
    if (exchange.digest === null) return false;
    text.reset();
    text.byte(<u8>exchange.api).byte(exchange.streaming ? 1 : 0);
    put(rule.identity);
    u64s(this.scope, 0);
    putHeader(exchange, this.authority);
    put(exchange.path.view());
    put(exchange.destination);
    put(exchange.target);
    put(exchange.servedModel);
    if (exchange.destination.len == 0) put(property.get(ROUTE_NAME, value) == Status.Ok ? value : nothing());
    this.writeTenant(exchange);
    const complete = writeKey(rule.key, exchange, text);
    if (!complete && rule.missingKey == MissingKey.Bypass) return false;
    for (let i = 0; i < rule.headers.length; i++) {
      putHeader(exchange, unchecked(rule.headers[i]));
    }
    u64s(exchange.digestLow, exchange.digestHigh);
    this.finish();
    return true;
  }

  /** Sets `cacheKey` for the same question in the other form. Right behind `make`. */
  flip(exchange: Exchange): void {
    const form = text.view().ptr + 1;
    store<u8>(form, exchange.streaming ? 0 : 1);
    this.finish();
    store<u8>(form, exchange.streaming ? 1 : 0);
  }

  /**
   * Sets the key of all requests that differ in nothing but their words. `low`, `high`: digest of the rest of the body. Behind `make`, and `flip`.
   */
  part(low: u64, high: u64): void {
    const bytes = text.view();
    hash.reset(this.secretLow, this.secretHigh);
    // No API has this number, so it is no key.
    hash.update(changetype<usize>(PART), PART.length);
    hash.update(bytes.ptr + 1, bytes.len - 1 - DIGEST);
    store<u64>(rest, low);
    store<u64>(rest, high, 8);
    hash.update(rest, DIGEST);
    hash.finish();
    cacheKey.partLow = hash.low;
    cacheKey.partHigh = hash.high;
  }

  private writeTenant(exchange: Exchange): void {
    cacheKey.tenant = 0;
    if (this.tenant < 0) return;
    putHeader(exchange, this.tenant);
    if (value.len > 0) cacheKey.tenant = xxhash64(value.ptr, value.len, 0);
  }

  private finish(): void {
    const bytes = text.view();
    hash.reset(this.secretLow, this.secretHigh);
    hash.update(bytes.ptr, bytes.len);
    hash.finish();
    cacheKey.low = hash.low;
    cacheKey.high = hash.high;
  }
}

/** One that is missing is none that is empty, and one that was cut none that is like what was kept of it. Leaves it in `value`. */
function putHeader(exchange: Exchange, index: i32): void {
  const headers = exchange.headers;
  text.byte(!headers.has(index) ? 0 : headers.isCut(index) ? 2 : 1);
  put(headers.read(index, value));
}

function put(bytes: Bytes): void {
  text.u32(bytes.len).bytes(bytes);
}

function nothing(): Bytes {
  value.clear();
  return value;
}

function u64s(low: u64, high: u64): void {
  text
    .u32(<u32>low)
    .u32(<u32>(low >> 32))
    .u32(<u32>high)
    .u32(<u32>(high >> 32));
}
