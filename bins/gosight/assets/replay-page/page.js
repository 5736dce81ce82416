"use strict";
// Plays the recording that stands in this page.
(() => {
  /** Name and colour of the marks on the time line where something is missing. */
  const GAP_TAG = "missing recording";
  const GAP_COLOUR = "#c0392b";
  const DEFAULT_SIZE = { width: 1280, height: 720 };
  const META = 4;
  const CUSTOM = 5;
  const FULL_SNAPSHOT = 2;
  const INCREMENTAL = 3;
  const MUTATION = 0;

  const byId = (id) => document.getElementById(id);
  const facts = JSON.parse(byId("facts").textContent);
  const status = byId("status");

  /** Takes the events out of the elements that hold them. */
  function takeEvents() {
    const events = [];
    for (const block of document.querySelectorAll("script.events")) {
      for (const event of JSON.parse(block.textContent)) {
        keepOffline(event);
        events.push(event);
      }
      block.remove();
    }
    return events;
  }

  /** Ids of frames. A browser connects to where one leads before it asks the policy whether it may. */
  const frames = new Set();

  /** Takes out of an event what lets the browser connect to somewhere in spite of the page's policy. */
  function keepOffline(event) {
    if (event.type === FULL_SNAPSHOT) {
      quietTree(event.data?.node);
    } else if (event.type === INCREMENTAL && event.data?.source === MUTATION) {
      event.data.adds?.forEach((add) => quietTree(add.node));
      event.data.attributes?.forEach((change) => quietAttributes(change.attributes, frames.has(change.id)));
    }
  }

  function quietTree(node) {
    const isFrame = /frame$/i.test(node?.tagName ?? "");
    if (isFrame) {
      frames.add(node.id);
    }
    quietAttributes(node?.attributes, isFrame);
    node?.childNodes?.forEach(quietTree);
  }

  function quietAttributes(attributes, isFrame) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
      const lower = name.toLowerCase();
      const connects = lower === "rel" && /preconnect|prefetch|prerender/i.test(value);
      if (connects || lower === "srcdoc" || (isFrame && lower === "src")) {
        delete attributes[name];
      }
    }
  }

  const clock = (ms) => {
    const tenths = Math.max(0, Math.round(ms / 100));
    const seconds = `${Math.floor(tenths / 10) % 60}`.padStart(2, "0");
    return `${Math.floor(tenths / 600)}:${seconds}.${tenths % 10}`;
  };
  const indexes = (gap) => (gap.first === gap.last ? `Chunk ${gap.first} is` : `Chunks ${gap.first} to ${gap.last} are`);

  /** Gaps as times of the player, where they can be seen. */
  function visibleGaps(start, end) {
    return facts.gaps
      .filter((gap) => gap.from !== null && gap.to !== null && gap.to > start && gap.from < end)
      .map((gap) => ({ ...gap, at: Math.max(0, gap.from - start), until: gap.to - start }));
  }

  /** Puts a mark on the time line for each gap. */
  function markGaps(events, gaps, start) {
    for (const gap of gaps) {
      const timestamp = start + gap.at;
      const mark = { type: CUSTOM, timestamp, data: { tag: GAP_TAG, payload: { first: gap.first, last: gap.last } } };
      const next = events.findIndex((event) => event.timestamp > timestamp);
      events.splice(next < 0 ? events.length : next, 0, mark);
    }
  }

  function note(text) {
    const item = document.createElement("li");
    item.textContent = text;
    byId("notes").hidden = false;
    byId("notes").querySelector("ul").append(item);
    return item;
  }

  function describe(gaps, start, hasSize) {
    if (facts.left_out > 0) {
      const lost = facts.started_at < start ? `, for ${clock(start - facts.started_at)},` : "";
      note(`What happened before the first full snapshot${lost} cannot be shown: ${facts.left_out} changes.`);
    }
    if (!hasSize) {
      note("The size of the page was not recorded.");
    }
    for (const gap of facts.gaps) {
      const seen = gaps.find((other) => other.first === gap.first);
      if (!seen) {
        note(`${indexes(gap)} missing, before the first moment that can be shown.`);
        continue;
      }
      const until = gap.restored === null ? "the end" : clock(gap.restored - start);
      const after = gap.restored === gap.to ? "" : ` Until ${until} the picture lacks what changed then.`;
      seen.item = note(
        `${indexes(gap)} missing: nothing is known of ${clock(seen.at)} to ${clock(seen.until)}.${after}`,
      );
    }
  }

  /** Says so while the player is at a time of which nothing is known. */
  function follow(player, gaps) {
    player.addEventListener("ui-update-current-time", ({ payload }) => {
      const current = gaps.find((gap) => payload >= gap.at && payload < gap.until);
      gaps.forEach((gap) => gap.item.classList.toggle("now", gap === current));
      status.classList.toggle("missing", current !== undefined);
      status.textContent = current ? `${indexes(current)} missing: the picture stands still until ${clock(current.until)}.` : "";
    });
  }

  function addJumps(player, gaps) {
    for (const gap of gaps) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `Go to ${clock(gap.at)}`;
      button.addEventListener("click", () => player.goto(gap.at, false));
      gap.item.append(button);
    }
  }

  /** The room that is left for the picture, beside the player's 80 px of controls. */
  function room() {
    const top = byId("player").getBoundingClientRect().top + window.scrollY;
    return {
      width: Math.max(320, document.documentElement.clientWidth - 32),
      height: Math.max(240, window.innerHeight - top - 96),
    };
  }

  function play() {
    const date = new Date(facts.started_at ?? NaN);
    const recorded = Number.isNaN(date.getTime()) ? "" : `, recorded ${date.toISOString()}`;
    byId("about").textContent = `${facts.session}${recorded}`;
    document.title = `Session replay ${facts.session}`;

    const events = takeEvents();
    const start = events[0].timestamp;
    const hasSize = events[0].type === META;
    if (!hasSize) {
      events.unshift({ type: META, timestamp: start, data: { href: "", ...DEFAULT_SIZE } });
    }
    const gaps = visibleGaps(start, events[events.length - 1].timestamp);
    markGaps(events, gaps, start);
    describe(gaps, start, hasSize);
    status.textContent = "";

    const player = new window.rrwebPlayer.Player({
      target: byId("player"),
      props: { events, ...room(), autoPlay: false, tags: { [GAP_TAG]: GAP_COLOUR } },
    });
    follow(player, gaps);
    addJumps(player, gaps);
    window.addEventListener("resize", () => {
      player.$set(room());
      player.triggerResize();
    });
    window.gosightPlayer = player;
  }

  try {
    play();
  } catch (error) {
    status.textContent = `This recording cannot be played: ${error}`;
    throw error;
  }
})();
