import { defineModule, type Module } from "@howdah/core";
import { files, manifest } from "#sql";
import packageJson from "../package.json" with { type: "json" };
import { commands } from "./commands.ts";
import { tour } from "./tour.ts";

/** The SQL schema `queue`: what `migrate` installs. */
export const queueModule: Module = defineModule({
  name: "queue",
  release: packageJson.version,
  api: 1,
  minApi: 1,
  files,
  manifest,
  access: {
    admin: ["maintain", "prune"],
    producer: ["push", "push_batch", "channel_name", "bell"],
    consumer: [
      "pull",
      "pull_batch",
      "pull_any",
      "exchange",
      "ack",
      "ack_batch",
      "nack",
      "fail",
      "release",
      "release_batch",
      "release_jobs",
      "snooze",
      "extend_visibility",
      "settle_batch",
      "get_queue_settings",
      "heartbeat",
      "register_worker",
      "unregister_worker",
      "set_progress",
      "cancelled",
      "tick",
      "tick_schedules",
      "tick_timeouts",
      "channel_name",
      "control_channel",
      "bell",
    ],
  },
  commands,
  tour,
});
