import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DeltaSession } from "../delta-session.ts";
import { MAX_OUTSTANDING } from "../limits.ts";
import { SotwSession } from "../sotw-session.ts";
import { snapshot, TYPES } from "./test-client.ts";

/** Requests that no client would send: nothing throws, and what a stream keeps stays bounded. */

const SNAPSHOTS = [
  snapshot("CDS:a@1 -> EDS:a", "EDS:a@1 ttl=30", "LDS:l@1 -> RDS:r", "RDS:r@1 -> CDS:a", "VHDS:r/v@1 alias=r/a"),
  snapshot("CDS:a@2 -> EDS:a SDS:s", "EDS:a@1 ttl=30", "SDS:s@1", "CDS:xdstp://x/t/a/b@1", "RDS:r@2", "VHDS:r/v@2"),
  snapshot(),
] as const;

const name = fc.constantFrom(
  ..."* a b l r s r/v r/a r/ / __proto__ constructor xdstp:// xdstp://x/t/a/* xdstp://x/t/a/b?c=d&a=b# xdstp://x/* -".split(
    " ",
  ),
  "",
  "\0",
  "x".repeat(3_000),
);
const names = fc.array(name, { maxLength: 6 });
const request = fc.record({
  do: fc.constant("request" as const),
  typeUrl: fc.constantFrom("", "__proto__", "type.googleapis.com/x.Y", ...Object.values(TYPES)),
  versionInfo: fc.constantFrom("", "1", "?"),
  names,
  unsubscribe: names,
  versions: fc.array(fc.tuple(name, fc.constantFrom("", "1", "2")), { maxLength: 4 }),
  /** Which of the nonces that were seen; beyond them one that was not. */
  nonce: fc.nat(12),
  error: fc.option(fc.constantFrom("", "a", "Error adding a: no", "\0"), { nil: undefined }),
});
const step = fc.oneof(
  { weight: 5, arbitrary: request },
  { weight: 1, arbitrary: fc.nat(2).map((which) => ({ do: "publish" as const, which })) },
  { weight: 2, arbitrary: fc.nat(4).map((count) => ({ do: "read" as const, count })) },
);

describe.each(["sotw", "delta"] as const)("property: hostile requests in %s", (variant) => {
  it("never throw and never grow the stream", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.boolean(), (steps, ttl) => {
        const options = { ttl };
        const sotw = variant === "sotw" ? new SotwSession(SNAPSHOTS[0], options) : undefined;
        const delta = sotw === undefined ? new DeltaSession(SNAPSHOTS[0], options) : undefined;
        const session = sotw ?? (delta as DeltaSession);
        const nonces: string[] = [];
        let now = 0;
        for (const each of steps) {
          now += 7;
          if (each.do === "publish") session.publish(SNAPSHOTS[each.which] ?? SNAPSHOTS[0]);
          else if (each.do === "read") {
            for (let count = 0; count < each.count; count++) {
              const due = session.next(now);
              if (due !== undefined) nonces.push(due.nonce);
            }
          } else {
            const common = {
              typeUrl: each.typeUrl,
              responseNonce: each.nonce === 0 ? "" : (nonces.at(-each.nonce) ?? "never sent"),
              ...(each.error === undefined ? {} : { errorDetail: { code: 13, message: each.error } }),
            };
            sotw?.receive({ ...common, versionInfo: each.versionInfo, resourceNames: each.names }, now);
            delta?.receive(
              {
                ...common,
                subscribe: each.names,
                unsubscribe: each.unsubscribe,
                initialVersions: new Map(each.versions),
              },
              now,
            );
          }
        }
        // Whatever came before, it comes to rest.
        let responses = 0;
        while (session.next(now) !== undefined) expect(++responses).toBeLessThan(1_000);
        expect(session.nextDeadline() ?? now + 1).toBeGreaterThan(now);
        expect(session.watches.size).toBeLessThanOrEqual(Object.keys(TYPES).length);
        for (const watch of session.watches.values()) {
          expect(watch.outstanding.size).toBeLessThanOrEqual(variant === "sotw" ? 1 : MAX_OUTSTANDING);
          expect([...watch.client.pending()].length).toBeLessThan(100);
        }
      }),
      { numRuns: 300 },
    );
  }, 60_000);
});
