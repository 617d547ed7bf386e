import json


def test_whole_runs_pass(home, cider, own_run):
    result = cider("verify", own_run)
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"{own_run}: a training that finished after epoch 4; ")
    assert line.endswith("files and tables are whole, 0 are not.")


def test_damage_is_listed_and_is_exit_code_1(home, cider, own_run):
    weights = own_run / "checkpoints" / "best.safetensors"
    content = bytearray(weights.read_bytes())
    content[2000:3000] = bytes(1000)
    weights.write_bytes(bytes(content))
    result = cider("verify", own_run, "--json")
    assert result.exit_code == 1
    (check,) = json.loads(result.stdout)["runs"]
    assert str(weights) in check["problems"][0]
    assert "  Error: the file is not as training left it in" in cider("verify", own_run).stdout


def test_what_is_no_run_is_one_line(cider, fails, tmp_path):
    assert "no training run in" in fails(cider("verify", tmp_path))
