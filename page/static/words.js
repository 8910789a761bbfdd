() => {
  // The page's own widgets in the visitor's language, by the words that Gradio has for its own.
  const language = () => document.documentElement.lang || "en";
  const words = () => {
    const known = (window.gradio_config && window.gradio_config.i18n_translations) || {};
    return known[language()] || known[language().split("-")[0]];
  };
  const translate = (root, known) => {
    const say = (text) => known[text.trim()];
    for (const part of [root, ...root.querySelectorAll("*")]) {
      for (const name of ["title", "aria-label", "alt"]) {
        const found = part.getAttribute(name) && say(part.getAttribute(name));
        if (found) part.setAttribute(name, found);
      }
      for (const node of part.childNodes) {
        const found = node.nodeType === Node.TEXT_NODE && say(node.textContent);
        if (found) node.textContent = found;
      }
    }
  };
  const look = () => {
    const known = words();
    if (!known) return;
    for (const root of document.querySelectorAll(".cmp, .strip, .figures")) {
      if (root.dataset.language === language()) continue;
      root.dataset.language = language();
      translate(root, known);
    }
  };
  new MutationObserver(look).observe(document.documentElement, {
    childList: true, subtree: true, attributes: true, attributeFilter: ["lang"],
  });
  look();
}
