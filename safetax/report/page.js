"use strict";
// Every text of a model or data set enters the page through textContent alone.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filters");
  const list = document.getElementById("list");
  const pager = document.getElementById("pager");
  const count = document.getElementById("count");
  const template = document.getElementById("sample").content;
  const PAGE = 10;
  const FIELDS = ["model", "label", "epochs", "seed", "benchmark", "verdict"];
  const ENDS = {
    budget: "thinking cut at its budget",
    end_of_text: "ended inside the thinking",
    suppressed: "thinking suppressed",
  };
  let page = 0;
  let shown = [];

  const dash = (value) => (value === null || value === undefined ? "–" : String(value));
  const seeds = (checkpoint) => `${dash(checkpoint.seed)} (LRM ${dash(checkpoint.lrm_seed)})`;
  const samples = data.samples.map((sample) => {
    const checkpoint = data.checkpoints[sample.checkpoint];
    const messages = data.prompts[sample.prompt];
    return {
      ...sample,
      messages,
      facets: {
        model: [checkpoint.model],
        label: [checkpoint.label],
        epochs: [dash(checkpoint.epochs)],
        seed: [seeds(checkpoint)],
        benchmark: [sample.benchmark],
        verdict: [...new Set(sample.verdicts.map((verdict) => verdict.label))],
      },
      text: [sample.id, ...messages.map((message) => message.content), sample.thinking || "", sample.answer]
        .join("\n")
        .toLowerCase(),
    };
  });

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const wanted = () => Object.fromEntries(new FormData(form));
  const fits = (sample, filter, but) =>
    FIELDS.every((field) => field === but || !filter[field] || sample.facets[field].includes(filter[field])) &&
    (!filter.text || sample.text.includes(filter.text.trim().toLowerCase()));

  // Each choice says how many samples it would show beside the other filters.
  const fillChoices = () => {
    const filter = wanted();
    for (const field of FIELDS) {
      const counts = new Map();
      for (const sample of samples) {
        const fit = fits(sample, filter, field) ? 1 : 0;
        for (const value of sample.facets[field]) counts.set(value, (counts.get(value) || 0) + fit);
      }
      const values = [...counts.keys()];
      if (field !== "label" && field !== "benchmark") values.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      const options = values.map((value) => {
        const option = element("option", "", `${value} (${counts.get(value)})`);
        option.value = value;
        return option;
      });
      const any = element("option", "", "any");
      any.value = "";
      form.elements[field].replaceChildren(any, ...options);
      form.elements[field].value = filter[field] || "";
    }
  };

  const part = (title, text, className) => {
    const block = element("section", className);
    block.append(element("h4", "", title), element("div", "text", text));
    return block;
  };

  const chip = (verdict) => {
    let [sign, kind] = ["•", "plain"];
    if (verdict.error !== undefined) [sign, kind] = ["!", "error"];
    else if (verdict.harmful) [sign, kind] = ["▲", "harmful"];
    else if (verdict.refused) [sign, kind] = ["■", "refused"];
    else if (verdict.correct) [sign, kind] = ["✓", "correct"];
    else if (verdict.correct === false) [sign, kind] = ["✗", "wrong"];
    const made = element("span", `chip ${kind}`);
    const mark = element("span", "", sign);
    mark.setAttribute("aria-hidden", "true");
    made.append(mark, ` ${verdict.judge}: ${verdict.label}`);
    if (verdict.error !== undefined) made.title = verdict.error;
    return made;
  };

  const card = (sample, number) => {
    const made = template.cloneNode(true).querySelector("article");
    const checkpoint = data.checkpoints[sample.checkpoint];
    const title = made.querySelector("h3");
    title.textContent = `${sample.benchmark} · ${sample.id}${sample.repeat ? ` · repeat ${sample.repeat}` : ""}`;
    title.id = `sample-${number}`;
    made.setAttribute("aria-labelledby", title.id);
    const notes = [checkpoint.label];
    if (checkpoint.epochs) notes.push(`${checkpoint.epochs} ${checkpoint.epochs === 1 ? "epoch" : "epochs"}`);
    if (checkpoint.seed !== null) notes.push(`seed ${checkpoint.seed}`);
    notes.push(`LRM seed ${dash(checkpoint.lrm_seed)}`);
    if (!form.elements.model.parentElement.hidden) notes.unshift(checkpoint.model);
    notes.push(`${sample.tokens[0]} + ${sample.tokens[1]} tokens`);
    if (ENDS[sample.ends[0]]) notes.push(ENDS[sample.ends[0]]);
    if (sample.ends[1] === "budget") notes.push("answer cut at its budget");
    made.querySelector(".where").textContent = notes.join(" · ");
    made.querySelector(".verdicts").append(...sample.verdicts.map(chip));

    made.querySelector(".prompt").append(
      ...sample.messages.map((message) => part(message.role === "user" ? "Prompt" : message.role, message.content, "message")),
    );
    const response = made.querySelector(".response");
    response.id = `response-${number}`;
    if (sample.thinking !== null) response.append(part("Thinking", sample.thinking, "thinking"));
    response.append(part("Answer", sample.answer, "answer"));
    if (sample.veiled) veil(made, response);
    return made;
  };

  const veil = (made, response) => {
    const reveal = made.querySelector(".reveal");
    const button = reveal.querySelector("button");
    button.setAttribute("aria-controls", response.id);
    reveal.hidden = false;
    const set = (open) => {
      button.setAttribute("aria-expanded", String(open));
      button.textContent = open ? "Blur the response" : "Show the response";
      response.classList.toggle("veiled", !open);
      // Neither read aloud nor selectable while it cannot be seen; a click on it still reaches the response itself.
      for (const block of response.children) block.inert = !open;
    };
    button.addEventListener("click", () => set(button.getAttribute("aria-expanded") !== "true"));
    response.addEventListener("click", () => set(true));
    set(false);
  };

  const draw = () => {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const first = page * PAGE;
    list.replaceChildren(...shown.slice(first, first + PAGE).map((sample, index) => card(sample, first + index)));
    count.textContent = shown.length
      ? `Samples ${first + 1} to ${Math.min(first + PAGE, shown.length)} of ${shown.length}`
      : "No sample fits these filters.";
    pager.hidden = pages === 1;
    pager.querySelector("span").textContent = `Page ${page + 1} of ${pages}`;
    pager.querySelector('[data-by="-1"]').disabled = page === 0;
    pager.querySelector('[data-by="1"]').disabled = page === pages - 1;
  };

  const filter = () => {
    fillChoices();
    const chosen = wanted();
    shown = samples.filter((sample) => fits(sample, chosen));
    page = 0;
    draw();
  };

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  pager.addEventListener("click", (event) => {
    if (!event.target.dataset.by) return;
    page += Number(event.target.dataset.by);
    draw();
    document.getElementById("samples").scrollIntoView();
  });
  document.addEventListener("click", (event) => {
    const place = event.target.dataset && event.target.dataset.checkpoint;
    if (place === undefined) return;
    const checkpoint = data.checkpoints[Number(place)];
    form.reset();
    fillChoices();
    form.elements.model.value = checkpoint.model;
    form.elements.label.value = checkpoint.label;
    form.elements.epochs.value = dash(checkpoint.epochs);
    form.elements.seed.value = seeds(checkpoint);
    setTimeout(filter);
  });

  // On paper nothing can be opened: what is closed is open while the page is printed.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not(.screen, [open])")];
    for (const block of opened) block.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const block of opened) block.open = false;
  });

  form.hidden = false;
  filter();
})();
