import { describe, expect, it } from "vitest";
import { consulSpec } from "../../../test/fixtures/discovery/consul-fixture.ts";
import { systemClock } from "../clock.ts";
import type { RawEndpoint } from "../endpoint.ts";
import { EndpointReader } from "./endpoint-reader.ts";

const at = (address: string): RawEndpoint => ({ id: address, address, port: 80, health: "healthy" });

describe("reader of a service's instances", () => {
  it("says in the log which are left out, and again only when that has changed", () => {
    const lines: unknown[] = [];
    const context = {
      name: "default/consul",
      clock: systemClock,
      random: () => 0,
      log: (level: string, message: string, fields?: unknown) => lines.push([level, message, fields]),
    };
    const reader = new EndpointReader("web", consulSpec("h").metadata, context);
    const good = at("10.0.0.1");
    for (let i = 0; i < 3; i++) expect(reader.read([good, at("host-a")])).toHaveLength(1);
    expect(lines).toEqual([
      [
        "warn",
        "instances were left out",
        expect.objectContaining({
          source: "default/consul",
          service: "web",
          skipped: 1,
          reasons: [expect.stringContaining("host-a")],
        }),
      ],
    ]);
    reader.read([good]);
    expect(lines).toHaveLength(1);
    reader.read([good, at("host-a")]);
    reader.read([good, at("host-b")]);
    expect(lines).toHaveLength(3);
  });
});
