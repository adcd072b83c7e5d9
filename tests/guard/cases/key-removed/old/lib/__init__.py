def collate(examples):
    batch = {"chosen_input_ids": [row["chosen"] for row in examples], "margin": 0}
    batch["rejected_input_ids"] = [row["rejected"] for row in examples]
    return batch
