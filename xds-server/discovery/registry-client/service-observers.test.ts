import { describe, expect, it } from "vitest";
import { DiscoveryError } from "../errors.ts";
import type { DiscoveredEndpoint, ServiceObserver } from "../source.ts";
import { faultOfServiceName } from "./service-name.ts";
import { ServiceObservers } from "./service-observers.ts";

const none: readonly DiscoveredEndpoint[] = [];
const error = new DiscoveryError("TM_DISCOVERY_FAILED", "x");

function listener(): ServiceObserver & { readonly heard: unknown[] } {
  const heard: unknown[] = [];
  return { heard, endpoints: (all) => heard.push(all), failed: (each) => heard.push(each) };
}

describe("observers of a service", () => {
  it("tells whoever comes late what was said last, soon and once", async () => {
    const observers = new ServiceObservers();
    const first = listener();
    observers.add(first);
    observers.endpoints(none);
    const late = listener();
    observers.add(late);
    expect(late.heard).toEqual([]);
    await Promise.resolve();
    expect([first.heard, late.heard]).toEqual([[none], [none]]);
    observers.failed(error);
    const later = listener();
    observers.add(later);
    observers.endpoints(none);
    await Promise.resolve();
    expect(later.heard).toEqual([none]);
    expect(first.heard).toEqual([none, error, none]);
  });

  it("tells nobody who has left, also when he leaves while others are told", async () => {
    const observers = new ServiceObservers();
    const second = listener();
    let leave = () => {};
    observers.add({ endpoints: () => leave(), failed: () => {} });
    leave = observers.add(second);
    observers.endpoints(none);
    const never = listener();
    observers.add(never)();
    await Promise.resolve();
    expect([second.heard, never.heard]).toEqual([[], []]);
    expect(observers.size).toBe(1);
  });

  it("knows two watches of one observer apart", () => {
    const observers = new ServiceObservers();
    const twice = listener();
    const leave = observers.add(twice);
    observers.add(twice);
    observers.endpoints(none);
    leave();
    leave();
    observers.endpoints(none);
    expect(twice.heard).toHaveLength(3);
    observers.clear();
    observers.endpoints(none);
    expect(twice.heard).toHaveLength(3);
  });
});

describe("names of services", () => {
  it.each(["web", "WEB-1", "a.b_c", "team:web@1", "x".repeat(253)])("can be %s", (name) => {
    expect(faultOfServiceName(name)).toBeUndefined();
  });

  it.each(["", " ", "-web", "..", "a/b", "a?b", "a#b", "a%2fb", "a b", "a\r\nb", "ä", "x".repeat(254)])(
    "cannot be %j",
    (name) => {
      const fault = faultOfServiceName(name);
      expect(fault?.code).toBe("TM_DISCOVERY_FAILED");
      expect(fault?.message.length).toBeLessThan(400);
    },
  );
});
