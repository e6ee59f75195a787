// From samples to medians, ratios, a table for people and JSON for programs.
import { cpus, totalmem } from "node:os";
import { median } from "./measure.ts";

/** One line of the table. */
export interface Figure {
  title: string;
  unit: string;
  better: "higher" | "lower";
  /** How many times better than each peer we want to be. */
  target?: number;
  /** What ours must not exceed, whatever the peers do. */
  limit?: number;
}

/** What the rounds gave: figure -> system -> one number per round. */
export type Samples = Record<string, Record<string, number[]>>;

export interface Report {
  suite: string;
  date: string;
  /** `load` is how many processes wanted to run in the minute before: above 0.5 or so, trust CPU times and not the clock. */
  machine: { cpu: string; cores: number; memoryGb: number; platform: string; load: number };
  versions: Record<string, string>;
  settings: Record<string, string | number>;
  /** Which of the systems is ours; the others are its peers. */
  ours: string;
  /** `<figure>/<peer>`: how many times better ours is than the peer, so that more is better whatever the unit. */
  ratios: Record<string, number>;
  /** Medians by figure and system, and the single rounds. */
  figures: Record<string, Figure & { medians: Record<string, number>; samples: Record<string, number[]> }>;
}

/** Three significant digits: the rest is noise. */
export const round = (number: number) => Number(number.toPrecision(3));

/** Computes medians and ratios of the figures that were measured. */
export function report(
  head: Pick<Report, "suite" | "versions" | "settings" | "ours"> & { load: number },
  figures: Record<string, Figure>,
  samples: Samples,
): Report {
  const { suite, versions, settings, ours, load } = head;
  const result: Report = {
    suite,
    date: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      memoryGb: Math.round(totalmem() / 2 ** 30),
      platform: `${process.platform} ${process.arch}`,
      load,
    },
    versions,
    settings,
    ours,
    ratios: {},
    figures: {},
  };
  for (const [key, figure] of Object.entries(figures)) {
    const measured = Object.entries(samples[key] ?? {});
    if (measured.length === 0) continue;
    const medians = Object.fromEntries(measured.map(([system, numbers]) => [system, round(median(numbers))]));
    const rounds = Object.fromEntries(measured.map(([system, numbers]) => [system, numbers.map(round)]));
    result.figures[key] = { ...figure, medians, samples: rounds };

    const { [ours]: own, ...peers } = medians;
    if (own === undefined) continue;
    for (const [peer, theirs] of Object.entries(peers)) {
      result.ratios[`${key}/${peer}`] = round(figure.better === "higher" ? own / theirs : theirs / own);
    }
  }
  return result;
}

/** The report as JSON, laid out as the formatter of this repository wants it. */
export function asJson(report: Report): string {
  return `${JSON.stringify(report, null, 2).replace(/\[[^[\]{}]*\]/g, (list) => list.replace(/\s+/g, " ").replace("[ ", "[").replace(" ]", "]"))}\n`;
}

/** A table of the medians, the ratios to each peer, and whether they are where we want them. */
export function table({ suite, machine, versions, settings, ours, ratios, figures }: Report): string {
  const systems = [...new Set(Object.values(figures).flatMap(({ medians }) => Object.keys(medians)))];
  const peers = systems.filter((system) => system !== ours);
  const lines = Object.entries(figures).map(([key, { title, unit, medians, target, limit }]) => {
    const own = medians[ours];
    const against = peers.map((peer) => ratios[`${key}/${peer}`]).filter((ratio) => ratio !== undefined);
    const goals = [
      target !== undefined && `>= ${target}x ${verdict(against.map((ratio) => ratio >= target))}`,
      limit !== undefined && `<= ${limit} ${unit} ${verdict(own === undefined ? [] : [own <= limit])}`,
    ];
    return [
      `${title}, ${unit}`,
      ...systems.map((system) => medians[system]?.toLocaleString("en") ?? "-"),
      against.map((ratio) => `${ratio.toPrecision(2)}x`).join(" "),
      goals.filter(Boolean).join(", "),
    ];
  });
  return [
    `${suite}: ${pairs(versions)}`,
    `${machine.cores} cores of ${machine.cpu}, ${machine.memoryGb} GB, load before ${machine.load}; medians; ${pairs(settings)}`,
    "",
    ...align([["", ...systems, "ratio", "wanted"], ...lines], 1, systems.length),
    "",
  ].join("\n");
}

function verdict(reached: boolean[]): string {
  if (reached.length === 0) return "";
  return reached.every(Boolean) ? "ok" : "MISSED";
}

const pairs = (record: Record<string, string | number>) =>
  Object.entries(record)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");

/** Pads the cells, `count` columns from `first` on to the right because they are numbers. */
function align(lines: string[][], first: number, count: number): string[] {
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  const pad = (cell: string, column: number) => {
    const isNumber = column >= first && column < first + count;
    return isNumber ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0);
  };
  return lines.map((line) => line.map(pad).join("  ").trimEnd());
}
