import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { type DiscoveryFixture, describeDiscovery, type FixtureEndpoint } from "../../../test/conformance/discovery.ts";
import { addressRecords, dnsSourceOf, serviceRecords } from "../../../test/fixtures/discovery/dns-fixture.ts";
import { DnsServer, type DnsZoneRecord } from "../../../test/fixtures/discovery/dns-server.ts";
import { ManualClock } from "../../../test/fixtures/discovery/manual-clock.ts";
import type { DnsDiscovery } from "../../config/discovery-model.ts";
import type { DiscoveryError } from "../errors.ts";
import type { DiscoveredEndpoint } from "../source.ts";

async function fixture(
  dns: Partial<DnsDiscovery>,
  records: (service: string, endpoints: readonly FixtureEndpoint[]) => Map<string, DnsZoneRecord[]>,
): Promise<DiscoveryFixture> {
  const server = await DnsServer.start();
  server.behaviour.negativeTtl = 0;
  const own = new Map<string, readonly string[]>();
  const remove = async (service: string) => {
    for (const name of own.get(service) ?? []) server.zone.delete(name);
    own.delete(service);
  };
  return {
    source: dnsSourceOf({ ...dns, resolvers: [server.address] }),
    put: async (service, endpoints) => {
      await remove(service);
      const all = records(service, endpoints);
      own.set(service, [...all.keys()]);
      for (const [name, each] of all) server.zone.set(name, each);
    },
    remove,
    stop: () => server.stop(),
    restart: () => server.resume(),
    hostile: async (answer) => {
      server.behaviour.hostile = answer;
    },
    close: () => server.stop(),
  };
}

describeDiscovery(
  "DNS address records",
  () =>
    fixture(
      addressRecords.dns,
      (service, endpoints) =>
        new Map([[service, endpoints.map(({ address }) => ({ type: "A", name: service, ttl: 0, data: address }))]]),
    ),
  addressRecords.options,
);

describeDiscovery(
  "DNS service records",
  () =>
    fixture(serviceRecords.dns, (service, endpoints) => {
      const zone = new Map<string, DnsZoneRecord[]>([[service, []]]);
      for (const { id, address, port, weight = 1 } of endpoints) {
        const target = `${id}.${service}`;
        zone.get(service)?.push({ type: "SRV", name: service, ttl: 0, data: { target, port, weight, priority: 10 } });
        zone.set(target, [{ type: "A", name: target, ttl: 0, data: address }]);
      }
      return zone;
    }),
  serviceRecords.options,
);

describe("DNS", () => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  /** Watches one name with a clock that the test moves. */
  async function watch(
    service: string,
    dns: Partial<DnsDiscovery> = {},
    records: Readonly<Record<string, readonly DnsZoneRecord[]>> = {},
    poll?: { min: number; max: number },
  ) {
    const server = await DnsServer.start();
    for (const [name, each] of Object.entries(records)) server.zone.set(name, each);
    const clock = new ManualClock();
    const source = dnsSourceOf({ resolvers: [server.address], ...dns }, clock, poll ?? { min: 1_000, max: 3_600_000 });
    closing.push(
      () => source.close(),
      () => server.stop(),
    );
    const answers: (readonly DiscoveredEndpoint[])[] = [];
    const failures: DiscoveryError[] = [];
    source.watch(service, { endpoints: (all) => answers.push(all), failed: (error) => failures.push(error) });
    const heard = (count: number) =>
      waitFor(() => answers.length + failures.length >= count, { what: `${count} answers` });
    await heard(1);
    // The pause begins after the answer was told.
    const idle = () => waitFor(() => clock.waiting === 1, { what: "the pause" });
    await idle();
    return { server, clock, source, answers, failures, heard, idle };
  }

  const a = (name: string, data: string, ttl = 60): DnsZoneRecord => ({ type: "A", name, ttl, data });
  const aaaa = (name: string, data: string, ttl = 60): DnsZoneRecord => ({ type: "AAAA", name, ttl, data });
  const cname = (name: string, data: string, ttl = 60): DnsZoneRecord => ({ type: "CNAME", name, ttl, data });
  const srv = (
    name: string,
    target: string,
    more: Partial<{ port: number; weight: number; priority: number; ttl: number }> = {},
  ): DnsZoneRecord => {
    const { port = 80, weight = 1, priority = 0, ttl = 60 } = more;
    return { type: "SRV", name, ttl, data: { target, port, weight, priority } };
  };
  const addresses = (all: readonly DiscoveredEndpoint[] | undefined) =>
    all?.map(({ address, port }) => `${address} ${port}`);

  it("asks again when the shortest TTL has passed, and not before", async () => {
    const { server, clock, answers, heard } = await watch(
      "web.test",
      {},
      { "web.test": [a("web.test", "10.0.0.1", 30), aaaa("web.test", "2001:DB8::1", 20)] },
    );
    expect(addresses(answers[0])).toEqual(["10.0.0.1 8080", "2001:db8::1 8080"]);
    server.zone.set("web.test", [a("web.test", "10.0.0.2", 30)]);
    clock.advance(19_999);
    expect(clock.waiting).toBe(1);
    clock.advance(1);
    await heard(2);
    expect(addresses(answers[1])).toEqual(["10.0.0.2 8080"]);
  });

  it.each([
    ["0 s", 0, 1_000],
    ["a year", 31_536_000, 3_600_000],
    ["of the highest bit", 2 ** 31 + 5, 1_000],
  ])("keeps a TTL %s within its bounds", async (_name, ttl, expected) => {
    const { server, clock, heard } = await watch(
      "web.test",
      { kinds: ["A"] },
      { "web.test": [a("web.test", "10.0.0.1", ttl)] },
    );
    clock.advance(expected - 1);
    expect(clock.waiting).toBe(1);
    clock.advance(1);
    await heard(2);
    expect(server.questions).toHaveLength(2);
  });

  it("believes that there is no such name and asks again after the negative TTL", async () => {
    const { server, clock, answers, heard } = await watch("web.test", { kinds: ["A"] });
    expect(answers).toEqual([[]]);
    server.zone.set("web.test", [a("web.test", "10.0.0.1")]);
    clock.advance(59_999);
    expect(clock.waiting).toBe(1);
    clock.advance(1);
    await heard(2);
    expect(addresses(answers[1])).toEqual(["10.0.0.1 8080"]);
  });

  it("believes that a name has no addresses, and asks soon where the server does not say for how long", async () => {
    const { server, clock, answers, heard, idle } = await watch(
      "web.test",
      { kinds: ["A"] },
      { "x.web.test": [a("x.web.test", "10.0.0.9")] },
    );
    expect(answers).toEqual([[]]);
    server.behaviour.negativeTtl = undefined;
    clock.advance(60_000);
    await heard(2);
    await idle();
    clock.advance(4_999);
    expect(clock.waiting).toBe(1);
    clock.advance(1);
    await heard(3);
  });

  it("gets what does not fit over TCP", async () => {
    const records = Array.from({ length: 300 }, (_, i) => a("web.test", `10.0.${i >> 8}.${i & 255}`));
    const { server, clock, answers, heard } = await watch(
      "web.test",
      { kinds: ["A"] },
      { "web.test": records.slice(0, 1) },
    );
    server.behaviour.udpRecords = 5;
    server.zone.set("web.test", records);
    clock.advance(60_000);
    await heard(2);
    expect(answers[1]).toHaveLength(300);
    expect(server.questions.at(-1)).toBe("tcp web.test A");
  });

  it("follows aliases, whether the server does it or not, with the shortest TTL on the way", async () => {
    const zone = {
      "web.test": [cname("web.test", "Web.Blue.test", 100)],
      "web.blue.test": [cname("web.blue.test", "node.test", 10)],
      "node.test": [a("node.test", "10.0.0.5", 50)],
    };
    const { server, clock, answers, failures, heard, idle } = await watch("WEB.test.", { kinds: ["A"] }, zone);
    expect(addresses(answers[0])).toEqual(["10.0.0.5 8080"]);
    server.behaviour.recursive = false;
    clock.advance(9_999);
    expect(clock.waiting).toBe(1);
    clock.advance(1);
    await heard(2);
    await idle();
    expect(addresses(answers[1])).toEqual(["10.0.0.5 8080"]);
    server.zone.set("node.test", [cname("node.test", "web.test", 1)]);
    clock.advance(10_000);
    await heard(3);
    expect(failures[0]?.message).toContain("the aliases of web.test lead nowhere");
  });

  it("reads priority, weight, port and target of service records, asking for targets that are not in the answer", async () => {
    const name = "_http._tcp.web.test";
    const zone = {
      [name]: [
        srv(name, "one.test", { port: 8001, weight: 30, priority: 1 }),
        srv(name, "two.test", { port: 8002, weight: 0, priority: 1 }),
        srv(name, "spare.test", { port: 8003, weight: 5, priority: 9 }),
        srv(name, "gone.test", { priority: 1 }),
      ],
      "one.test": [a("one.test", "10.0.0.1"), aaaa("one.test", "2001:db8::1")],
      "two.test": [cname("two.test", "really.test")],
      "really.test": [a("really.test", "10.0.0.2", 7)],
      "spare.test": [a("spare.test", "10.0.0.3")],
    };
    const { server, clock, answers, heard } = await watch(name, { kinds: ["SRV"], port: undefined }, zone);
    const expected = [
      ["10.0.0.1", 8001, 30, "healthy"],
      ["10.0.0.2", 8002, 1, "healthy"],
      ["10.0.0.3", 8003, 5, "degraded"],
      ["2001:db8::1", 8001, 30, "healthy"],
    ];
    const shown = (all: readonly DiscoveredEndpoint[] | undefined) =>
      all?.map(({ address, port, weight, health }) => [address, port, weight, health]);
    expect(shown(answers[0])).toEqual(expected);
    expect(server.questions).not.toContain("udp one.test A");
    expect(server.questions).toContain("udp two.test A");
    server.behaviour.additionals = false;
    clock.advance(7_000);
    await heard(2);
    expect(shown(answers[1])).toEqual(expected);
    expect(server.questions).toContain("udp one.test AAAA");
  });

  it("understands the service record that says that there is no such service", async () => {
    const { answers } = await watch(
      "_x._tcp.test",
      { kinds: ["SRV"], port: undefined },
      { "_x._tcp.test": [srv("_x._tcp.test", ".")] },
    );
    expect(answers).toEqual([[]]);
  });

  it("fails as a whole when a target cannot be looked up: a part of a service is not its last good state", async () => {
    const name = "_http._tcp.web.test";
    const zone = {
      [name]: [srv(name, "one.test"), srv(name, "two.test")],
      "one.test": [a("one.test", "10.0.0.1")],
      "two.test": [a("two.test", "10.0.0.2")],
    };
    const { server, clock, answers, failures, heard } = await watch(name, { kinds: ["SRV"], port: undefined }, zone);
    server.behaviour.additionals = false;
    server.behaviour.codes.set("two.test A", 2);
    clock.advance(60_000);
    await heard(2);
    expect(answers).toHaveLength(1);
    expect(failures[0]?.code).toBe("TM_DISCOVERY_FAILED");
    expect(failures[0]?.message).toContain("SERVFAIL for two.test");
  });

  it("does without AAAA where a resolver always fails for it, and does not where there were such records", async () => {
    const zone = { "web.test": [a("web.test", "10.0.0.1")] };
    const only = await watch("web.test", {}, zone);
    only.server.behaviour.codes.set("web.test AAAA", 2);
    for (let i = 1; i <= 3; i++) {
      only.clock.advance(60_000);
      await only.heard(1 + i);
      await only.idle();
    }
    expect(only.failures).toHaveLength(2);
    expect(addresses(only.answers.at(-1))).toEqual(["10.0.0.1 8080"]);

    const both = await watch(
      "web.test",
      {},
      { "web.test": [a("web.test", "10.0.0.1"), aaaa("web.test", "2001:db8::1")] },
    );
    both.server.behaviour.codes.set("web.test AAAA", 2);
    for (let i = 1; i <= 5; i++) {
      both.clock.advance(60_000);
      await both.heard(1 + i);
      await both.idle();
    }
    expect(both.failures).toHaveLength(5);
    expect(both.answers).toHaveLength(1);
  });

  it("does not take a name for one without endpoints because the only kind of record that never fails has none", async () => {
    const zone = { "x.web.test": [a("x.web.test", "10.0.0.9")] };
    const { server, clock, answers, failures, heard, idle } = await watch("web.test", {}, zone);
    server.behaviour.codes.set("web.test AAAA", 2);
    for (let i = 1; i <= 5; i++) {
      clock.advance(60_000);
      await heard(1 + i);
      await idle();
    }
    expect(answers).toEqual([[]]);
    expect(failures).toHaveLength(5);
  });

  it("asks the next resolver when one is down, silent, refuses or answers with an error", async () => {
    const second = await DnsServer.start();
    closing.push(() => second.stop());
    second.zone.set("web.test", [a("web.test", "10.0.0.2")]);
    const first = await DnsServer.start();
    closing.push(() => first.stop());
    first.behaviour.codes.set("web.test A", 5);
    const source = dnsSourceOf({ resolvers: [first.address, second.address], kinds: ["A"] });
    closing.push(() => source.close());
    const answers: (readonly DiscoveredEndpoint[])[] = [];
    source.watch("web.test", { endpoints: (all) => answers.push(all), failed: () => {} });
    const answered = async (what: string) => {
      const before = answers.length;
      await waitFor(() => answers.length > before + 1, { what });
      expect(addresses(answers.at(-1))).toEqual(["10.0.0.2 8080"]);
    };
    await answered("an answer after REFUSED");
    first.behaviour.hostile = "error";
    await answered("an answer after SERVFAIL");
    first.behaviour.hostile = "garbage";
    await answered("an answer after garbage");
    await first.stop();
    await answered("an answer after a closed port");
  });

  it("says what is wrong", async () => {
    const denied = await DnsServer.start();
    closing.push(() => denied.stop());
    denied.behaviour.codes.set("web.test A", 5);
    const cases = [
      [
        { resolvers: [denied.address], kinds: ["A"] },
        "web.test",
        "TM_DISCOVERY_DENIED",
        "answers REFUSED for web.test",
      ],
      [
        { resolvers: [denied.address], kinds: ["A"], port: undefined },
        "web.test",
        "TM_DISCOVERY_FAILED",
        "no port is known",
      ],
      [{ resolvers: [denied.address], kinds: ["A"] }, "a..b", "TM_DISCOVERY_FAILED", "is not a DNS name"],
      [{ resolvers: ["127.0.0.1:1"], kinds: ["A"] }, "web.test", "TM_DISCOVERY_UNREACHABLE", "127.0.0.1:1"],
    ] as const;
    for (const [dns, service, code, words] of cases) {
      const source = dnsSourceOf(dns);
      closing.push(() => source.close());
      const failures: DiscoveryError[] = [];
      source.watch(service, { endpoints: () => {}, failed: (error) => failures.push(error) });
      await waitFor(() => failures.length > 0, { what: code });
      expect(failures[0]?.code).toBe(code);
      expect(failures[0]?.message).toContain(words);
    }
  });

  it("does not read packets without an end that are no answers", async () => {
    const { server, clock, failures, heard } = await watch("web.test", { kinds: ["A"] });
    server.behaviour.hostile = "endless";
    clock.advance(60_000);
    await heard(2);
    expect(failures[0]?.code).toBe("TM_DISCOVERY_MALFORMED");
  });

  it("asks no more when nobody watches", async () => {
    const { server, clock, source, heard, idle } = await watch("web.test", { kinds: ["A"] });
    const ends = [1, 2].map(() => source.watch("api.test", { endpoints: () => {}, failed: () => {} }));
    await waitFor(() => clock.waiting === 2, { what: "both pauses" });
    for (const end of ends) end();
    expect(clock.waiting).toBe(1);
    clock.advance(60_000);
    await heard(2);
    await idle();
    expect(server.questions.filter((each) => each.includes("api.test"))).toHaveLength(1);
  });

  it("closes while a question is under way", async () => {
    const { server, clock, source, failures } = await watch("web.test", { kinds: ["A"] });
    server.behaviour.hostile = "silent";
    const asked = server.questions.length;
    clock.advance(60_000);
    await waitFor(() => server.questions.length > asked, { what: "the question" });
    await source.close();
    expect(clock.waiting).toBe(0);
    expect(failures).toEqual([]);
  });

  it("takes the port from the name of the service before that of the source", async () => {
    const { answers } = await watch("web.test:9000", { kinds: ["A"] }, { "web.test": [a("web.test", "10.0.0.1")] });
    expect(addresses(answers[0])).toEqual(["10.0.0.1 9000"]);
  });
});
