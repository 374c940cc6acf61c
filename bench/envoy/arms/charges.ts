import { Redis } from "ioredis";

/** What envoyproxy/ratelimit has charged in all budgets of a domain: its counters, whose keys live a while longer than their windows. */
export async function chargedInRedis(address: string, domain: string): Promise<number> {
  const client = new Redis(`redis://${address}`);
  try {
    const keys = await client.keys(`${domain}_*`);
    const counts = keys.length === 0 ? [] : await client.mget(keys);
    return counts.reduce((sum, count) => sum + Number(count ?? 0), 0);
  } finally {
    client.disconnect();
  }
}
