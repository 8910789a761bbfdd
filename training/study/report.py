def sentences(r):
    return []


def write(r, out):
    import json

    out.mkdir(exist_ok=True)
    (out / "study-strategies.json").write_text(json.dumps(r))
