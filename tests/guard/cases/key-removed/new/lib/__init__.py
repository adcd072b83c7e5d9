def collate(examples):
    batch = {"chosen_ids": [row["chosen"] for row in examples], "margin": 0}
    batch["rejected_ids"] = [row["rejected"] for row in examples]
    return batch
