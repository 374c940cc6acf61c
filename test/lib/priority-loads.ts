/** Loads of priority levels as Envoy's documentation describes them (architecture overview: priority levels, degraded endpoints), for tests. */

export interface Level {
  readonly all: number;
  readonly healthy: number;
  readonly degraded: number;
}

/** Percent of requests by priority; all 0 where nobody works. */
export function priorityLoads(levels: readonly Level[]): { healthy: number[]; degraded: number[] } {
  const part = (some: number, all: number) => (all === 0 ? 0 : Math.min(100, Math.floor((140 * some) / all)));
  const healths = levels.map(({ all, healthy }) => part(healthy, all));
  const impaired = levels.map(({ all, degraded }) => part(degraded, all));
  const total = Math.min(
    100,
    [...healths, ...impaired].reduce((sum, each) => sum + each, 0),
  );
  if (total === 0) return { healthy: levels.map(() => 0), degraded: levels.map(() => 0) };
  let left = 100;
  const give = (share: number): number => {
    const load = Math.min(left, Math.floor((share * 100) / total));
    left -= load;
    return load;
  };
  const healthy = healths.map(give);
  const degraded = impaired.map(give);
  const first = healths.findIndex((each) => each > 0);
  if (first >= 0) healthy[first] = (healthy[first] ?? 0) + left;
  else {
    const other = impaired.findIndex((each) => each > 0);
    degraded[other] = (degraded[other] ?? 0) + left;
  }
  return { healthy, degraded };
}
