/**
 * For tests: the rules of the xDS protocol and of what Envoy needs beyond it are one check each, run in both variants wherever the rule exists in both.
 * Expected responses are what they change at the client: see test-client.ts.
 */
import { it } from "vitest";
import type { Snapshot } from "../../cache/index.ts";
import type { SessionOptions } from "../session.ts";
import { snapshot, TestClient, TYPES, type Type, type Variant } from "./test-client.ts";

type Connect = (first: Snapshot, options?: SessionOptions) => TestClient;

function check(variants: readonly Variant[], rule: string, body: (connect: Connect, variant: Variant) => void): void {
  for (const variant of variants) {
    it(`${variant}: ${rule}`, () => body((first, options) => new TestClient(variant, first, options), variant));
  }
}

type Rule = (rule: string, body: Parameters<typeof check>[2]) => void;

export const both: Rule = (rule, body) => check(["sotw", "delta"], rule, body);
/** Rules of state-of-the-world alone. */
export const sotw: Rule = (rule, body) => check(["sotw"], rule, body);
/** Rules of delta alone. */
export const delta: Rule = (rule, body) => check(["delta"], rule, body);

export const ALL = Object.keys(TYPES) as readonly Type[];

/** Two clusters with endpoints. */
export const two = snapshot("CDS:a@1 -> EDS:a", "CDS:b@1 -> EDS:b", "EDS:a@1", "EDS:b@1");

/** One resource `x` of every type. */
export const oneOfEach = (version: string | number) => snapshot(...ALL.map((type) => `${type}:x@${version}`));
