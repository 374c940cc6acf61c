/**
 * Reads what a Rate Limit Service answers, an envoy.service.ratelimit.v3.RateLimitResponse:
 *
 *   RateLimitResponse   { 1: Code overall_code, 2: repeated DescriptorStatus statuses, ... }
 *   DescriptorStatus    { 1: Code code, 2: RateLimit current_limit, 3: uint32 limit_remaining, 4: Duration duration_until_reset, ... }
 *   RateLimit           { 1: uint32 requests_per_unit, 2: Unit unit, ... }
 *   Duration            { 1: int64 seconds, 2: int32 nanos }
 *
 * Other fields are passed over. What is read is what protobuf's own parser reads: the last of duplicate numbers, messages in pieces merged, a known number
 * with another wire type unknown.
 *
 * Reference: https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ratelimit/v3/rls.proto
 */
import { ProtoFields, WireType } from "./proto-fields";
import { RateLimitUnit } from "./rate-limit-call";

/** The most descriptors of a request, and so statuses of its answer. */
export const MAX_STATUSES: i32 = 32;

/** Ten thousand years in seconds, the longest Duration. */
const MAX_SECONDS: i64 = 315576000000;

/** `RateLimitResponse.Code`. Numbers that nobody knows yet are `Unknown`. */
export const enum RateLimitCode {
  Unknown = 0,
  Ok = 1,
  OverLimit = 2,
}

/** Of one descriptor, in the order of the request. */
@final
export class RateLimitStatus {
  code: RateLimitCode = RateLimitCode.Unknown;
  /** The service has a limit for the descriptor. */
  hasLimit: bool = false;
  requestsPerUnit: u32 = 0;
  /** Units newer than this code keep their number. */
  unit: RateLimitUnit = RateLimitUnit.Unknown;
  remaining: u32 = 0;
  /** Milliseconds until the limit is whole again, rounded up, not negative; -1 when the answer does not say. */
  resetMs: i64 = -1;

  clear(): void {
    this.code = RateLimitCode.Unknown;
    this.hasLimit = false;
    this.requestsPerUnit = 0;
    this.unit = RateLimitUnit.Unknown;
    this.remaining = 0;
    this.resetMs = -1;
  }
}

@final
export class RateLimitAnswer {
  overallCode: RateLimitCode = RateLimitCode.Unknown;
  /** How many statuses there are, at most `MAX_STATUSES`. */
  count: i32 = 0;

  private readonly statuses: StaticArray<RateLimitStatus> = new StaticArray<RateLimitStatus>(MAX_STATUSES);
  /** One for each level of the message. */
  private readonly fields: ProtoFields = new ProtoFields();
  private readonly statusFields: ProtoFields = new ProtoFields();
  private readonly innerFields: ProtoFields = new ProtoFields();

  constructor() {
    for (let i = 0; i < MAX_STATUSES; i++) this.statuses[i] = new RateLimitStatus();
  }

  /** Status `index`, from 0 to `count` - 1; the same object in every answer. */
  status(index: i32): RateLimitStatus {
    return unchecked(this.statuses[index]);
  }

  /**
   * Reads the answer in bytes [from, from + length). False when they are none, or one with more statuses than `MAX_STATUSES`; then there is no code and no
   * status. Nothing of the bytes is kept. O(length), no allocation.
   */
  read(from: usize, length: i32): bool {
    this.overallCode = RateLimitCode.Unknown;
    this.count = 0;
    const fields = this.fields;
    fields.open(from, length);
    while (next(fields)) {
      if (fields.is(1, WireType.Varint)) this.overallCode = codeOf(fields.integer);
      else if (fields.is(2, WireType.Bytes) && !this.readStatus()) return this.nothing();
    }
    return fields.failed ? this.nothing() : true;
  }

  private nothing(): bool {
    this.overallCode = RateLimitCode.Unknown;
    this.count = 0;
    return false;
  }

  /** The DescriptorStatus that `fields` stands at. */
  private readStatus(): bool {
    if (this.count == MAX_STATUSES) return false;
    const status = unchecked(this.statuses[this.count++]);
    status.clear();
    const fields = this.statusFields;
    fields.open(this.fields.ptr, this.fields.length);
    let seconds: i64 = 0;
    let nanos: i32 = 0;
    let hasReset = false;
    while (next(fields)) {
      if (fields.is(1, WireType.Varint)) {
        status.code = codeOf(fields.integer);
      } else if (fields.is(2, WireType.Bytes)) {
        const limit = this.inner();
        status.hasLimit = true;
        while (next(limit)) {
          if (limit.is(1, WireType.Varint)) status.requestsPerUnit = <u32>limit.integer;
          else if (limit.is(2, WireType.Varint)) status.unit = <RateLimitUnit>limit.integer;
        }
        if (limit.failed) return false;
      } else if (fields.is(3, WireType.Varint)) {
        status.remaining = <u32>fields.integer;
      } else if (fields.is(4, WireType.Bytes)) {
        const reset = this.inner();
        hasReset = true;
        while (next(reset)) {
          if (reset.is(1, WireType.Varint)) seconds = <i64>reset.integer;
          else if (reset.is(2, WireType.Varint)) nanos = <i32>reset.integer;
        }
        if (reset.failed) return false;
      }
    }
    if (hasReset) status.resetMs = milliseconds(seconds, nanos);
    return !fields.failed;
  }

  /** The fields of the message that `statusFields` stands at. */
  private inner(): ProtoFields {
    this.innerFields.open(this.statusFields.ptr, this.statusFields.length);
    return this.innerFields;
  }
}

/** Groups are refused: proto3 has none, and whoever sends one wants to see a parser recurse. */
function next(fields: ProtoFields): bool {
  if (!fields.next()) return false;
  fields.failed = fields.wireType == WireType.StartGroup;
  return !fields.failed;
}

/** Enums of protobuf are 32 bits wide, whatever was sent. */
function codeOf(value: u64): RateLimitCode {
  const code = <i32>value;
  return code == RateLimitCode.Ok || code == RateLimitCode.OverLimit ? code : RateLimitCode.Unknown;
}

/** Of a Duration that may be a lie. */
function milliseconds(seconds: i64, nanos: i32): i64 {
  const bounded = max<i64>(min<i64>(seconds, MAX_SECONDS), -MAX_SECONDS);
  return max<i64>(bounded * 1_000 + <i64>ceil<f64>(<f64>nanos / 1_000_000), 0);
}
