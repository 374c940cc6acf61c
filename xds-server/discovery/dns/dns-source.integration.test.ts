/** The behaviour suite on a real dnsmasq. `npm run test:integration` gets it first. */
import { describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { type DiscoveryFixture, describeDiscovery, type FixtureEndpoint } from "../../../test/conformance/discovery.ts";
import { addressRecords, dnsSourceOf, serviceRecords } from "../../../test/fixtures/discovery/dns-fixture.ts";
import { Dnsmasq } from "../../../test/fixtures/discovery/dnsmasq.ts";
import type { DnsDiscovery } from "../../config/discovery-model.ts";
import type { DiscoveredEndpoint } from "../source.ts";

async function fixture(
  dns: Partial<DnsDiscovery>,
  lines: (service: string, endpoints: readonly FixtureEndpoint[]) => readonly string[],
): Promise<DiscoveryFixture> {
  const server = await Dnsmasq.start();
  const services = new Map<string, readonly string[]>();
  const apply = () => server.configure([...services.values()].flat());
  return {
    source: dnsSourceOf({ ...dns, resolvers: [server.address] }),
    put: async (service, endpoints) => {
      services.set(service, lines(service, endpoints));
      await apply();
    },
    remove: async (service) => {
      services.delete(service);
      await apply();
    },
    stop: () => server.stop(),
    restart: () => server.restart(),
    close: () => server.close(),
  };
}

const { dns: addresses, options: addressOptions } = addressRecords;
describeDiscovery(
  "DNS address records (real dnsmasq)",
  () => fixture(addresses, (service, endpoints) => endpoints.map(({ address }) => `host-record=${service},${address}`)),
  addressOptions,
);

const { dns: services, options: serviceOptions } = serviceRecords;
describeDiscovery(
  "DNS service records (real dnsmasq)",
  () =>
    fixture(services, (service, endpoints) =>
      endpoints.flatMap(({ id, address, port, weight = 1 }) => [
        `srv-host=${service},${id}.${service},${port},10,${weight}`,
        `host-record=${id}.${service},${address}`,
      ]),
    ),
  serviceOptions,
);

describe("DNS (real dnsmasq)", () => {
  it("gets what does not fit into a packet over TCP, follows aliases, and reads both families", async () => {
    const server = await Dnsmasq.start();
    const source = dnsSourceOf({ resolvers: [server.address], kinds: ["A", "AAAA"], port: 80 });
    try {
      const many = Array.from(
        { length: 200 },
        (_, i) => `host-record=many.test,10.2.0.${i},2001:db8::${i.toString(16)}`,
      );
      await server.configure([...many, "cname=alias.test,many.test"]);
      let found: readonly DiscoveredEndpoint[] = [];
      source.watch("alias.test", {
        endpoints: (all) => {
          found = all;
        },
        failed: () => {},
      });
      await waitFor(() => found.length === 400, { what: "400 endpoints" });
      expect(found.filter(({ address }) => address.includes(":"))).toHaveLength(200);
    } finally {
      await source.close();
      await server.close();
    }
  });
});
